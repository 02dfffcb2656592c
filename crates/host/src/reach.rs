use std::collections::HashSet;
use std::io;

use rustix::process::test_kill_process_group;

use crate::identity::{ProcessId, Stat, boot_id};
use crate::marker::Marker;
use crate::scan;

/// Looks in a row that bring nothing new before "nothing is there" is believed.
const QUIET_LOOKS: u32 = 3;
/// The same where something of ours has ended and is not reaped: the kernel does not tell then whether
/// anything lives beside it.
const QUIET_LOOKS_AMONG_ZOMBIES: u32 = 12;
/// Looks altogether. Something that forks and ends faster than it can be seen is found in a few.
const LOOKS_MAX: u32 = 300;

/// Which processes are ours: those of the leader's session, and those with the marker.
#[derive(Clone)]
pub(crate) struct Reach {
    pub leader: Option<ProcessId>,
    pub marker: Marker,
}

pub(crate) struct Member {
    pub id: ProcessId,
    pub stat: Stat,
    pub in_session: bool,
}

/// One look over all processes. They are listed first and read one by one, so one that forks and
/// ends in between hides its child.
#[derive(Default)]
struct Look {
    members: Vec<Member>,
    /// In the leader's session, but ended or not known to be ours: pid and start time.
    others: Vec<(u32, u64)>,
    /// The number of the session is another's by now.
    is_foreign: bool,
    /// Some process, maybe none of ours, ended while the others were read.
    some_ended: bool,
}

impl Reach {
    /// The live processes that are ours, parents before children. `known`: processes that were
    /// found to be ours before. An error means that nothing is known.
    pub fn members(&self, known: &HashSet<ProcessId>) -> io::Result<Vec<Member>> {
        if let Some(leader) = &self.leader
            && leader.boot_id != boot_id()?
        {
            return Ok(Vec::new());
        }
        let (mut seen, mut quiet) = (HashSet::new(), 0);
        for _ in 0..LOOKS_MAX {
            let look = self.look(known)?;
            let hidden = look.others.is_empty() && !look.is_foreign && self.has_group();
            if !look.members.is_empty() || !(hidden || look.is_doubtful()) {
                return Ok(look.members);
            }
            let enough =
                if look.others.is_empty() { QUIET_LOOKS } else { QUIET_LOOKS_AMONG_ZOMBIES };
            let news = look.others.into_iter().filter(|&other| seen.insert(other)).count();
            quiet = if hidden || news > 0 { 0 } else { quiet + 1 };
            if quiet >= enough {
                return Ok(Vec::new());
            }
        }
        Err(io::Error::other("processes come and go too fast to be seen"))
    }

    fn look(&self, known: &HashSet<ProcessId>) -> io::Result<Look> {
        // Before the look: a leader that is there now, alive or zombie, holds the number.
        let led = self.is_led()?;
        let (stats, some_ended) = scan::processes()?;
        let mut look = Look { some_ended, ..Look::default() };
        let mut session = Vec::new();
        let mut proven = led;
        for stat in stats {
            let in_session = self.leader.as_ref().is_some_and(|l| l.pid == stat.session);
            if !stat.is_live() {
                look.others.extend(in_session.then_some((stat.pid, stat.start_time)));
                continue;
            }
            let member = Member { id: stat.identity()?, stat, in_session };
            if !in_session {
                let ours = scan::carries(stat.pid, &self.marker) == Some(true);
                look.members.extend(ours.then_some(member));
                continue;
            }
            // The kernel gives no new process a number that a session still has. So one member that
            // is surely ours proves the others, whatever became of leader and environments.
            if !proven {
                let marked = scan::carries(stat.pid, &self.marker);
                proven = marked == Some(true) || known.contains(&member.id);
                look.is_foreign |= marked == Some(false);
            }
            session.push(member);
        }
        if proven {
            look.is_foreign = false;
            look.members.append(&mut session);
        }
        let unproven = session.iter().map(|member| (member.id.pid, member.id.start_time));
        look.others.extend(unproven);
        look.members.sort_by_key(|member| (member.id.start_time, member.id.pid));
        Ok(look)
    }

    fn is_led(&self) -> io::Result<bool> {
        let Some(leader) = &self.leader else {
            return Ok(false);
        };
        Ok(leader.stat()?.is_some_and(|stat| stat.session == leader.pid))
    }

    /// Whether the kernel knows a group of the leader's number that we could signal.
    fn has_group(&self) -> bool {
        let group = self.leader.as_ref().and_then(ProcessId::raw);
        group.is_some_and(|group| test_kill_process_group(group).is_ok())
    }
}

impl Look {
    /// Whether a look that found no member may have missed one.
    fn is_doubtful(&self) -> bool {
        self.some_ended || (!self.is_foreign && !self.others.is_empty())
    }
}
