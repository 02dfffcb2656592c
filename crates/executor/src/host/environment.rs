use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use grit_pipeline::StepSpec;

use super::folder::Folder;
use super::programs::is_program;

/// What steps get of our own environment; everything else in it is none of their business.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "LANG", "USER", "CARGO_HOME", "RUSTUP_HOME", "DOCKER_HOST", "DOCKER_CONFIG"];

pub(super) const PATH_DEFAULT: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Files that a step may write for the runner: variable, name in the step's folder.
pub(super) const FILES: [(&str, &str); 5] = [
    ("GITHUB_ENV", "env"),
    ("GITHUB_OUTPUT", "output"),
    ("GITHUB_PATH", "path"),
    ("GITHUB_STEP_SUMMARY", "summary"),
    ("GITHUB_STATE", "state"),
];

/// What of a step's variables a container has as well: not what says where something of this
/// machine is, unless the step says so itself.
pub(super) fn of_container(all: &Variables, spec: &StepSpec) -> Variables {
    let is_of_the_machine = |name: &str| INHERITED.contains(&name) || name == "TMPDIR";
    let stays =
        |name: &str| name != "PATH" && (!is_of_the_machine(name) || spec.env.contains_key(name));
    let all = all.iter().filter(|(name, _)| name.to_str().is_some_and(stays));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) type Variables = BTreeMap<OsString, OsString>;

/// Our own environment, as far as steps get it.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    variables: Variables,
    tool_cache: Option<PathBuf>,
}

impl Inherited {
    pub fn from_this_process() -> Self {
        let mut own: Variables = INHERITED
            .into_iter()
            .filter_map(|name| Some((name.into(), env::var_os(name)?)))
            .collect();
        own.entry("PATH".into()).or_insert_with(|| PATH_DEFAULT.into());
        own.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
        let tool_cache = env::var_os("RUNNER_TOOL_CACHE").map(PathBuf::from);
        Self { variables: own, tool_cache: tool_cache.filter(|folder| folder.is_absolute()) }
    }

    /// Where this machine keeps tools by version, where somebody says so.
    pub fn tool_cache(&self) -> Option<&Path> {
        self.tool_cache.as_deref()
    }

    /// The whole environment of a step. `secrets` win over everything, the step's own variables
    /// over what is inherited.
    pub fn for_step(
        &self,
        folder: &Folder,
        spec: &StepSpec,
        secrets: &BTreeMap<String, String>,
    ) -> Variables {
        let mut all = self.variables.clone();
        all.insert("TMPDIR".into(), folder.temp().into());
        all.insert("RUNNER_TEMP".into(), folder.temp().into());
        all.extend(spec.env.iter().map(|(name, value)| (name.into(), value.into())));
        let path = all.get(OsStr::new("PATH")).map(|path| prepended(&spec.path, path));
        all.extend(path.map(|path| ("PATH".into(), path)));
        let files = folder.step(spec.index);
        let files = FILES.into_iter().map(|(name, file)| (name.into(), files.join(file).into()));
        all.extend(files);
        all.extend(secrets.iter().map(|(name, value)| (name.into(), value.into())));
        all
    }
}

/// `GITHUB_SERVER_URL` by a name that the toolkit does not take for an enterprise's server, whose
/// artifacts it refuses: names below `localhost` are this machine.
pub(super) fn server_name(spec: &StepSpec) -> Option<(OsString, OsString)> {
    let url = spec.env.get("GITHUB_SERVER_URL")?;
    let port = url.strip_prefix("http://127.0.0.1:").or(url.strip_prefix("http://[::1]:"))?;
    Some(("GITHUB_SERVER_URL".into(), format!("http://grit.localhost:{port}").into()))
}

/// `PATH` with these folders before it.
pub(super) fn with_path(folders: &[String], path: &str) -> OsString {
    prepended(folders, OsStr::new(path))
}

/// Where `program` is, on the `PATH` of `variables`.
pub(super) fn find_program(program: &str, variables: &Variables) -> Option<PathBuf> {
    let path = variables.get(OsStr::new("PATH"))?;
    env::split_paths(path).map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn prepended(folders: &[String], path: &OsStr) -> OsString {
    let mut whole = OsString::new();
    for folder in folders {
        whole.push(folder);
        whole.push(":");
    }
    whole.push(path);
    whole
}
