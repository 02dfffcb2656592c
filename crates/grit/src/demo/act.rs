//! The acts of the demo, in their order; each waits for what it must have seen.

use std::collections::BTreeMap;
use std::time::Duration;

use grit_control::view::{DeploymentView, SlotView};
use grit_rollout::slot::Status;
use grit_types::{Clock, Timestamp, Weight};
use serde_json::json;

use super::load::{Load, Record, Sample};
use super::screen::Screen;
use super::shop::Guard;
use super::world::World;
use crate::cli::args::{Demo, Fault};
use crate::cli::{self};
use crate::compose::SystemClock;
use crate::exit::{Exit, Failure};

/// No wait of the demo is longer.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the control process is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
pub const PRODUCTION: &str = "production";

/// What was seen while everything ran.
pub struct Played {
    pub samples: Vec<Sample>,
    pub load_began: Timestamp,
    pub own_approval_refused: bool,
    pub resumed_after: Duration,
    pub killed_at: Weight,
    pub good: DeploymentView,
    /// The releases with a fault: one, and in the control run the same again with the guard.
    pub trials: Vec<Trial>,
    pub digests: BTreeMap<String, String>,
}

/// A release that should go wrong.
pub struct Trial {
    pub view: DeploymentView,
    /// When it was approved, since the load began.
    pub approved: Duration,
}

/// Plays until the last release has ended.
pub async fn play(
    world: &World,
    options: &Demo,
    screen: &Screen<'_>,
    record: Record,
) -> Result<Played, Failure> {
    let stage = Stage { world, screen, record: record.clone() };
    let begun = "A control process, an edge and a repository whose push starts the pipeline.";
    screen.act(1, "making everything", begun);
    let own_approval_refused = stage.first_release().await?;
    let digests = stage.digests("v1.0.0").await?;

    screen.act(
        3,
        "a load",
        "An open-loop load on the edge: 200 requests a second, none is sent twice. The split:",
    );
    let host = format!("api.{PRODUCTION}.localhost");
    screen.say(format!(
        "   for i in $(seq 20); do curl -s -H 'Host: {host}' http://{}/version; echo; done",
        world.file.edge
    ));
    let (load, load_began) =
        (Load::start(world.file.edge, &host, options.seed, record), SystemClock.now());

    screen.act(
        4,
        "v1.1.0 as a canary",
        "v1.1.0 as a canary: 5, 20, 50, 100 %. Its controller is killed at 20 %.",
    );
    let number = stage.waits_for_approval("v1.1.0").await?;
    stage.approve("api", number).await?;
    let guard = if options.no_guard { Guard::Off } else { Guard::On };
    stage.push("1.2.0", options.fault, guard).await?;
    let mut told = Told::default();
    let killed_at = stage.weight("v1.1.0", Weight::from_percent(20), &mut told).await?;
    let resumed_after = world.kill_controller().await?;
    screen.say(format!("   killed, and back after {} ms", resumed_after.as_millis()));
    let again = options.no_guard && options.fault != Fault::None;
    let (good, ahead) = tokio::join!(stage.ended("v1.1.0", &mut told), async {
        if again {
            stage.gated("v1.2.0").await?;
            stage.push("1.2.1", options.fault, Guard::On).await?;
        }
        Ok(())
    });
    let good = good?;
    ahead?;

    let wrong = wrong(options);
    screen.act(5, &format!("v1.2.0, {wrong}"), &format!("v1.2.0, {wrong}."));
    let mut trials = vec![stage.trial("v1.2.0", &load).await?];
    if again {
        let title = "v1.2.1, the same with the guard";
        screen.act(5, title, &format!("{title}."));
        trials.push(stage.trial("v1.2.1", &load).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let samples = load.stop().await;
    Ok(Played {
        samples,
        load_began,
        own_approval_refused,
        resumed_after,
        killed_at,
        good,
        trials,
        digests,
    })
}

fn wrong(options: &Demo) -> String {
    let wrong = match options.fault {
        Fault::None => return "healthy this time".to_owned(),
        Fault::Errors => "which turns bad: 500 to one request in three",
        Fault::Latency => "which turns bad: every answer is 800 ms late",
        Fault::Hang => "which turns bad: it does not answer any more",
        Fault::Crash => "which turns bad: its process dies",
    };
    let guard = if options.no_guard { ", without the guard" } else { "" };
    format!("{wrong}{guard}")
}

/// The last weight that was told of, and since when it is held.
#[derive(Default)]
struct Told {
    weight: Option<Weight>,
    since: Duration,
    /// When the version had another weight again.
    until: Option<Duration>,
    status: Option<Status>,
}

struct Stage<'a> {
    world: &'a World,
    screen: &'a Screen<'a>,
    record: Record,
}

impl Stage<'_> {
    /// v1.0.0 everywhere, and v1.1.0 on its way; whether the author's own approval was refused.
    async fn first_release(&self) -> Result<bool, Failure> {
        let said = "v1.0.0 is pushed: built once, then development, staging, production.";
        self.screen.act(2, "v1.0.0 to production", said);
        self.world.shop.commit("1.0.0")?;
        self.world.shop.push("1.0.0", &self.world.author_token).await?;
        let api = self.waits_for_approval("v1.0.0").await?;
        let web = self.approvable("v1.0.0").await?;
        let refused = self.own_approval().await?;
        self.approve("web", web).await?;
        self.approve("api", api).await?;
        self.push("1.1.0", Fault::None, Guard::On).await?;
        for service in ["api", "web"] {
            let ended = |views: &[DeploymentView]| {
                let view = views.iter().find(|view| view.version == "v1.0.0")?;
                view.status.is_final().then_some(view.status)
            };
            let status = self.until("the end of v1.0.0", service, ended).await?;
            self.screen.say(format!("   {service} v1.0.0: {status}"));
        }
        Ok(refused)
    }

    async fn push(&self, version: &str, fault: Fault, guard: Guard) -> Result<(), Failure> {
        self.world.shop.release(version, fault, guard)?;
        self.world.shop.push(version, &self.world.author_token).await
    }

    /// Lets a release through to its end.
    async fn trial(&self, version: &str, load: &Load) -> Result<Trial, Failure> {
        let number = self.waits_for_approval(version).await?;
        let approved = load.began.elapsed();
        self.approve("api", number).await?;
        let view = self.ended(version, &mut Told::default()).await?;
        if view.status == Status::RolledBack {
            self.issue_opened(version).await?;
        }
        Ok(Trial { view, approved })
    }

    async fn deployments(&self, service: &str) -> Result<Vec<DeploymentView>, Failure> {
        let path =
            format!("/api/v1/deployments?service={service}&environment={PRODUCTION}&limit=20");
        self.world.lead.get(&path).await
    }

    /// Waits for what `seen` finds; a controller that is away for a moment is asked again.
    async fn until<T>(
        &self,
        what: &str,
        service: &str,
        mut seen: impl FnMut(&[DeploymentView]) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        loop {
            let asked = self.deployments(service).await;
            if let Some(found) = asked.as_ref().ok().and_then(|views| seen(views)) {
                return Ok(found);
            }
            if tokio::time::Instant::now() > deadline {
                let now = match &asked {
                    Ok(views) => views.iter().map(cli::line).collect::<Vec<_>>().join("; "),
                    Err(failure) => failure.message.clone(),
                };
                let problems = self.problems().await;
                let message = format!("waited in vain for {what}: {now} {problems}");
                return Err(Failure::new(Exit::Failed, "demo", message));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What is wrong with commits and runs, where something is.
    async fn problems(&self) -> String {
        let commits = self.world.lead.get::<serde_json::Value>("/api/v1/commits?limit=3").await;
        let runs = self.world.lead.get::<serde_json::Value>("/api/v1/runs?limit=1").await;
        let shown = |value: Result<serde_json::Value, Failure>| {
            value.map(|value| value.to_string()).unwrap_or_default()
        };
        format!("commits {} runs {}", shown(commits), shown(runs))
    }

    /// The api's release waits at production's approval, everything before it done; its number.
    async fn gated(&self, version: &str) -> Result<u64, Failure> {
        let waits = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            let mut open = view.gates.iter().filter(|gate| gate.passed.is_none());
            let waits = view.status == Status::Gated && open.all(|gate| gate.needs_person);
            waits.then_some(view.number)
        };
        self.until(&format!("{version} at its approval"), "api", waits).await
    }

    /// The same, told of.
    async fn waits_for_approval(&self, version: &str) -> Result<u64, Failure> {
        let number = self.gated(version).await?;
        self.screen.say(format!("   {version} waits for production's approval"));
        Ok(number)
    }

    /// The web can be approved: it waits for that, and maybe for the api as well; its number.
    async fn approvable(&self, version: &str) -> Result<u64, Failure> {
        let waits = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            let mut open = view.gates.iter().filter(|gate| gate.passed.is_none());
            open.any(|gate| gate.needs_person).then_some(view.number)
        };
        self.until(&format!("the web's {version} at its approval"), "web", waits).await
    }

    /// Who pushed it may not approve it.
    async fn own_approval(&self) -> Result<bool, Failure> {
        let path = format!("/api/v1/slots/{PRODUCTION}/api/approve");
        let answer = self.world.author.post::<serde_json::Value>(&path, &json!({})).await;
        match answer {
            Err(failure) if failure.code == "own_approval" => {
                self.screen.say(format!("   dana's own approval is refused: {}", failure.message));
                Ok(true)
            }
            Err(failure) => Err(failure),
            Ok(_) => Ok(false),
        }
    }

    async fn approve(&self, service: &str, number: u64) -> Result<(), Failure> {
        let path = format!("/api/v1/slots/{PRODUCTION}/{service}/approve");
        let body = json!({ "number": number });
        self.world.lead.post::<serde_json::Value>(&path, &body).await?;
        self.screen.say(format!("   lee approves {service}"));
        Ok(())
    }

    /// Waits until the version holds this weight; an end counts as well.
    async fn weight(
        &self,
        version: &str,
        weight: Option<Weight>,
        told: &mut Told,
    ) -> Result<Weight, Failure> {
        let holds = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            self.progress(view, told);
            let holding = view.status == Status::Paused || view.status.is_final();
            (holding && Some(view.weight) >= weight).then_some(view.weight)
        };
        self.until(&format!("{version} at its weight"), "api", holds).await
    }

    async fn ended(&self, version: &str, told: &mut Told) -> Result<DeploymentView, Failure> {
        let ended = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            self.progress(view, told);
            view.status.is_final().then(|| view.clone())
        };
        self.until(&format!("the end of {version}"), "api", ended).await
    }

    /// Tells of each weight that is held, and of what was answered at the one before.
    fn progress(&self, view: &DeploymentView, told: &mut Told) {
        let version = &view.version;
        if told.until.is_none() && told.weight.is_some_and(|weight| weight != view.weight) {
            told.until = Some(self.record.newest());
        }
        let moved = view.status == Status::Paused && Some(view.weight) > told.weight;
        if told.status.is_some_and(Status::is_final) || !(moved || view.status.is_final()) {
            return;
        }
        let before = told.weight.map_or(String::new(), |weight| {
            let until = told.until.take().unwrap_or_else(|| self.record.newest());
            let (own, all) = self.record.share(version.trim_start_matches('v'), told.since, until);
            format!("; at {weight} it answered {own} of {all} requests")
        });
        if moved {
            self.screen.say(format!("   {version} has {}{before}", view.weight));
            (told.weight, told.since) = (Some(view.weight), self.record.newest());
        } else {
            let reason = view.reason.as_ref().map(|reason| format!(" - {reason}"));
            let reason = reason.unwrap_or_default();
            self.screen.say(format!("   {version}: {}{reason}{before}", view.status));
        }
        told.status = Some(view.status);
    }

    async fn issue_opened(&self, version: &str) -> Result<(), Failure> {
        let opened = |views: &[DeploymentView]| {
            let view = views.iter().find(|view| view.version == version)?;
            view.issue.as_ref().map(|_| ())
        };
        self.until("the issue", "api", opened).await
    }

    /// The api's digest by environment.
    async fn digests(&self, version: &str) -> Result<BTreeMap<String, String>, Failure> {
        let slots: Vec<SlotView> = self.world.lead.get("/api/v1/slots").await?;
        let mut digests = BTreeMap::new();
        for slot in slots.iter().filter(|slot| slot.service.as_str() == "api") {
            let revision = slot.revisions.iter().find(|revision| revision.version == version);
            if let Some(revision) = revision {
                digests.insert(slot.environment.to_string(), revision.artifact.to_string());
            }
        }
        Ok(digests)
    }
}
