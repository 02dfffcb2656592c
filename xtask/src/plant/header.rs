use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

/// One planted bug, as its patch file describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plant {
    pub name: String,
    /// The patch file.
    pub patch: PathBuf,
    /// The command that must fail once the patch is applied.
    pub check: Vec<String>,
    /// What the bug would do to a user.
    pub why: String,
    /// Text that the failing check must print; without it, libtest's line of a failed run.
    pub expect: Option<String>,
}

/// Reads the lines `# KEY: VALUE` in front of the diff. `check` and `why` must be there; `expect` may.
///
/// # Errors
/// A key is unknown, missing or given twice, or the command has an open quote.
pub fn parse(patch: &Path, text: &str) -> Result<Plant> {
    let name = patch.file_stem().context("a patch has a name")?.to_string_lossy().into_owned();
    let (mut check, mut why, mut expect) = (None, None, None);
    for line in text.lines().take_while(|line| line.starts_with('#')) {
        let entry = line.trim_start_matches('#').split_once(':');
        let (key, value) = entry.with_context(|| format!("`{line}` is not `# KEY: VALUE`"))?;
        let slot = match key.trim() {
            "check" => &mut check,
            "why" => &mut why,
            "expect" => &mut expect,
            other => bail!("no key `{other}`; there are check, why, expect"),
        };
        if slot.replace(value.trim().to_owned()).is_some() {
            bail!("`{}` is given twice", key.trim());
        }
    }
    let check = check.context("a line `# check: COMMAND` is missing")?;
    let check = shell::words(&check).context("the command of `check` leaves a quote open")?;
    if check.is_empty() {
        bail!("the command of `check` is empty");
    }
    let why = why.context("a line `# why: …` is missing")?;
    Ok(Plant { name, patch: patch.to_path_buf(), check, why, expect })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Plant> {
        parse(Path::new("xtask/plants/guard-off.patch"), text)
    }

    #[test]
    fn a_header_reads() {
        let text = "# check: cargo test -p grit-edge 'guard trips'\n# why: 500s: reach people\n\ndiff --git a/x b/x\n# check: not here\n";
        let plant = parsed(text).unwrap();
        assert_eq!(plant.name, "guard-off");
        assert_eq!(plant.check, ["cargo", "test", "-p", "grit-edge", "guard trips"]);
        assert_eq!(plant.why, "500s: reach people");
        assert_eq!(plant.expect, None);
    }

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_refused() {
        for text in [
            "",
            "# check: cargo test\n",
            "# why: x\n",
            "# check: cargo 'test\n# why: x\n",
            "# check:\n# why: x\n",
            "# check: a\n# check: b\n# why: x\n",
            "# chek: a\n# why: x\n",
            "# just words\n",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
