use std::path::{Path, PathBuf};

use grit_pipeline::Conclusion;
use grit_pipeline::builtin::version::{Asked, Tool};

use super::places::{Found, is_shared};
use super::setup::{adopt, choose, from_files, parse};
use super::{Given, Inputs, Stop, probe};
use crate::host::step::Attempt;

/// Tells the folder that an interpreter belongs to, and the interpreter itself.
const WHERE: &str = "import sys, os; print(sys.prefix); print(os.path.realpath(sys.executable))";

const COMPANIONS: [&str; 6] = ["python", "python3", "pip", "pip3", "idle3", "pydoc3"];

/// `actions/setup-python`: of several versions the last is the one that `python` means.
pub(super) async fn run(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let mut texts = inputs.lines("python-version");
    if texts.is_empty() {
        let named = inputs.get("python-version-file");
        texts = from_files(at, Tool::Python, named, &[".python-version", ".tool-versions"]).await?;
    }
    if texts.is_empty() {
        let path = at.find("python3").await.ok_or_else(|| at.not_installed("python3"))?;
        let text = format!("No version is asked for: the Python of {} is used", at.whose());
        at.announce("warning", "setup-python", &text).await?;
        given.output("python-path", path.display().to_string());
        return Ok(Conclusion::Exited(0));
    }
    for asked in &parse(Tool::Python, &texts)? {
        let mut chosen = choose(at, Tool::Python, "python", asked).await;
        if inputs.is_on("allow-prereleases") && matches!(chosen, Err(Stop::Refused(_))) {
            let early = Asked::parse(Tool::Python, &format!("{}-dev", asked.text()))?;
            chosen = choose(at, Tool::Python, "python", &early).await;
        }
        let mut found = chosen?;
        own(at, &mut found).await;
        use_it(at, &found, given, inputs).await?;
    }
    given.output("cache-hit", "false");
    Ok(Conclusion::Exited(0))
}

/// A shim stands for the interpreter that it starts.
async fn own(at: &Attempt, found: &mut Found) {
    let Some(said) = probe::said(at, &found.program, &["-c", WHERE]).await else { return };
    let mut lines = said.lines().map(PathBuf::from);
    if let (Some(prefix), Some(program)) = (lines.next(), lines.next()) {
        (found.home, found.program) = (prefix, program);
    }
}

async fn use_it(
    at: &Attempt,
    found: &Found,
    given: &mut Given,
    inputs: &Inputs<'_>,
) -> Result<(), Stop> {
    let folder = found.program.parent().unwrap_or(Path::new("/"));
    let version = found.version.to_string();
    if inputs.get("update-environment") != Some("false") {
        if is_shared(folder) || !at.has(&folder.join("python")).await {
            adopt(at, &COMPANIONS, found, given).await?;
        } else {
            given.path.push(folder.display().to_string());
        }
        let home = found.home.display().to_string();
        for name in ["pythonLocation", "Python_ROOT_DIR", "Python3_ROOT_DIR"] {
            given.set(name, home.clone());
        }
        given.set("PKG_CONFIG_PATH", format!("{home}/lib/pkgconfig"));
    }
    given.output("python-version", version.clone());
    given.output("python-path", found.program.display().to_string());
    at.say(&format!("python {version} is used: {}", found.program.display())).await?;
    Ok(())
}
