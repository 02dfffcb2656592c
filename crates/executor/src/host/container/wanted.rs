use grit_engine::{Mount, Port, Wanted};
use grit_pipeline::{ContainerSpec, shell};

use super::options;

/// Where published ports can be reached: jobs are of this machine.
const ADDRESS: &str = "127.0.0.1";

/// What is asked of the engine for a container as a workflow writes it.
///
/// # Errors
/// For people: what cannot be read, or is given to those only that are `trusted`.
pub(super) fn wanted(spec: &ContainerSpec, trusted: bool) -> Result<Wanted, String> {
    let mut wanted =
        Wanted { image: spec.image.clone(), env: spec.env.clone(), ..Wanted::default() };
    wanted.entrypoint = spec.entrypoint.clone().map(|program| vec![program]);
    let command = spec.command.as_deref().map(shell::arguments).transpose();
    wanted.command = command.map_err(|error| format!("command: {error}"))?;
    for text in &spec.ports {
        wanted.ports.push(port(text)?);
    }
    for text in &spec.volumes {
        wanted.mounts.push(mount(text)?);
    }
    options::apply(&spec.options, &mut wanted)?;
    match options::beyond(&wanted) {
        Some(what) if !trusted => Err(format!(
            "{what} would open this machine to the job, and is given to no job here; `trusted: true` \
             at its runner in grit.yaml of the default branch, or GRIT_CONTAINERS=privileged in the \
             environment of Grit, allows it"
        )),
        _ => Ok(wanted),
    }
}

/// `CONTAINER`, `HOST:CONTAINER`, `ADDRESS:HOST:CONTAINER`, with `/udp` or without.
pub(super) fn port(text: &str) -> Result<Port, String> {
    let wrong = || format!("ports: `{text}` is no CONTAINER or HOST:CONTAINER");
    let (numbers, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let parts: Vec<&str> = numbers.rsplitn(3, ':').collect();
    let inside = format!("{}/{protocol}", number(parts[0])?);
    let outside = match parts.get(1) {
        None | Some(&"" | &"0") => None,
        Some(port) => Some(number(port)?),
    };
    let address = parts.get(2).copied().unwrap_or(ADDRESS).to_owned();
    Ok(Port { inside, outside, address })
}

/// `SOURCE:TARGET[:ro]`, or a path that gets a volume of its own.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let wrong = || format!("volumes: `{text}` is no SOURCE:TARGET");
    let (paths, read_only) = match text.trim().rsplit_once(':') {
        Some((paths, "ro")) => (paths, true),
        Some((paths, "rw" | "z" | "Z")) => (paths, false),
        _ => (text.trim(), false),
    };
    let (source, target) = paths.split_once(':').unwrap_or(("", paths));
    if !target.starts_with('/') || target.contains(':') {
        return Err(wrong());
    }
    Ok(Mount { source: source.to_owned(), target: target.to_owned(), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_workflows_write_them() {
        let read = |text| port(text).map(|p| (p.inside, p.outside, p.address));
        let here = ADDRESS.to_owned();
        assert_eq!(read("5432").unwrap(), ("5432/tcp".to_owned(), None, here.clone()));
        let both = ("6379/tcp".to_owned(), Some(16379), here.clone());
        assert_eq!(read("16379:6379").unwrap(), both);
        assert_eq!(read("53/udp").unwrap(), ("53/udp".to_owned(), None, here));
        let open = ("80/tcp".to_owned(), Some(8080), "0.0.0.0".to_owned());
        assert_eq!(read("0.0.0.0:8080:80").unwrap(), open);
        for wrong in ["", "x", "80-90", "1:2:3:4:x", "70000", "80/icmp"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn volumes_as_workflows_write_them() {
        let read = |text| mount(text).map(|m| (m.source, m.target, m.read_only));
        let of = |source: &str, target: &str, ro| (source.to_owned(), target.to_owned(), ro);
        assert_eq!(read("data:/var/data").unwrap(), of("data", "/var/data", false));
        assert_eq!(read("/a:/b:ro").unwrap(), of("/a", "/b", true));
        assert_eq!(read("/only").unwrap(), of("", "/only", false));
        assert!(read("data").is_err() && read("a:b").is_err());
    }
}
