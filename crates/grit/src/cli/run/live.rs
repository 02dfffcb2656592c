//! What runs right now, drawn over again on a terminal.

use grit_control::view::RunView;
use grit_pipeline::run::{Ending, JobView};
use grit_types::Timestamp;

use super::told::mark;

/// So many jobs are drawn; the rest is counted.
const JOBS_MAX: usize = 12;
/// Where the terminal does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// The lines that stand at the bottom.
#[derive(Default)]
pub struct Live {
    drawn: usize,
}

impl Live {
    /// Takes away what is drawn; what is said then stands above what is drawn next.
    pub fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
        }
    }

    /// The jobs that are not over, each with the step it is at.
    pub fn draw(&mut self, view: &RunView, now: Timestamp) -> String {
        let erased = self.erase();
        let columns = columns();
        let open: Vec<&JobView> = view.jobs.iter().filter(|job| job.ending.is_none()).collect();
        let mut lines: Vec<String> =
            open.iter().take(JOBS_MAX).map(|job| cut(&line(job, now), columns)).collect();
        if open.len() > JOBS_MAX {
            lines.push(format!("… and {} more", open.len() - JOBS_MAX));
        }
        self.drawn = lines.len();
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        format!("{erased}{lines}")
    }
}

fn line(job: &JobView, now: Timestamp) -> String {
    let done = job.steps.iter().filter(|step| step.ending == Some(Ending::Success)).count();
    let Some(started) = job.started else {
        return format!("{}  {}", job.state, job.name);
    };
    let seconds = now.since(started).as_secs();
    let at = job.steps.iter().rev().find(|step| step.ending.is_none());
    let step = at.map_or(job.state.clone(), |step| step.title.clone());
    format!("{} {} / {step}  {seconds} s, {done} done", mark(None), job.name)
}

/// No line may wrap: what is drawn is counted in lines.
fn cut(line: &str, columns: usize) -> String {
    let line = super::clean::text(line.as_bytes(), false).replace('\n', " ");
    match line.chars().count() > columns.saturating_sub(1) {
        true => line.chars().take(columns.saturating_sub(2)).chain(['…']).collect(),
        false => line,
    }
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { COLUMNS_DEFAULT } else { columns }
}
