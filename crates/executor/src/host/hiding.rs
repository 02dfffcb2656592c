//! What of a step's outcome would tell a secret stays with the runner: in its place stands a mark,
//! which later steps of the job get the value for.

use std::collections::BTreeMap;
use std::io;
use std::mem;

use grit_pipeline::seal::Sealed;
use grit_pipeline::{Conclusion, StepOutcome};

use super::folder::Folder;
use super::job::Job;

/// The outcome as it may be recorded and told. The values that it hides are durable when it is given
/// back. Blocks.
pub(super) fn outcome(job: &Job, index: u32, mut outcome: StepOutcome) -> io::Result<StepOutcome> {
    let (masks, word) = (job.masks(), &job.spec.seal);
    let mut kept = Vec::new();
    let mut hide = |value: &mut String| {
        let masked = masks.apply(value.as_bytes());
        if masked == value.as_bytes() {
            return;
        }
        // Without a word nothing would know the mark again.
        if word.is_empty() {
            *value = String::from_utf8_lossy(&masked).into_owned();
            return;
        }
        let mark = Sealed::Kept(format!("{index}.{}", kept.len())).mark(word);
        kept.push(mem::replace(value, mark));
    };
    for values in [&mut outcome.outputs, &mut outcome.env, &mut outcome.state] {
        *values = named(mem::take(values), job);
        values.values_mut().for_each(&mut hide);
    }
    outcome.path.iter_mut().for_each(&mut hide);
    if let Conclusion::Unable(why) = &mut outcome.conclusion {
        *why = job.shown(why);
    }
    if !kept.is_empty() {
        job.folder.write_kept(index, &kept)?;
    }
    Ok(outcome)
}

/// A name goes where no mark does.
fn named(values: BTreeMap<String, String>, job: &Job) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (job.shown(&name), value)).collect()
}

/// What a mark of an outcome stands for.
pub(super) fn kept(folder: &Folder, name: &str) -> Result<String, String> {
    let gone = || "a value that an earlier step gave is gone".to_owned();
    let (index, place) = name.split_once('.').ok_or_else(gone)?;
    let index = index.parse().map_err(|_| gone())?;
    let place: usize = place.parse().map_err(|_| gone())?;
    let values = folder.kept(index).map_err(|error| error.to_string())?;
    values.and_then(|values| values.into_iter().nth(place)).ok_or_else(gone)
}
