use std::time::Duration;

use grit_engine::{HealthCheck, Mount, Wanted};
use grit_pipeline::shell;

/// What was asked of the container by `options`, put into what is wanted of it.
///
/// # Errors
/// For people: an option that is not understood.
pub(super) fn apply(line: &str, wanted: &mut Wanted) -> Result<(), String> {
    let words = shell::arguments(line).map_err(|error| format!("options: {error}"))?;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (word.clone(), None),
        };
        let flag = value.as_deref().is_none_or(|value| value == "true");
        match name.as_str() {
            "--privileged" => {
                wanted.privileged = flag;
            }
            "--init" => wanted.init = flag,
            "--no-healthcheck" => health(wanted).command = Some(String::new()),
            _ => {
                let value = value.or_else(|| words.next());
                let value = value.ok_or_else(|| format!("options: `{name}` has no value"))?;
                one(&name, value, wanted)?;
            }
        }
    }
    Ok(())
}

/// What would make a container the machine itself, as it is written.
pub(super) fn beyond(wanted: &Wanted) -> Option<String> {
    let opens = |option: &&String| option.contains("unconfined") || option.contains("disable");
    let is_folder = |mount: &&Mount| mount.source.contains('/');
    let option = |name: &str, value: &String| format!("options: `{name}={value}`");
    if wanted.privileged {
        return Some("options: `--privileged`".to_owned());
    }
    let capability = wanted.cap_add.first().map(|value| option("--cap-add", value));
    let security = wanted.security.iter().find(opens);
    let security = security.map(|value| option("--security-opt", value));
    let pid = wanted.pid.as_ref().map(|value| option("--pid", value));
    let folder = wanted.mounts.iter().find(is_folder);
    let folder = folder.map(|mount| format!("volumes: the machine's `{}`", mount.source));
    capability.or(security).or(pid).or(folder)
}

fn one(name: &str, value: String, wanted: &mut Wanted) -> Result<(), String> {
    match name {
        "--health-cmd" => health(wanted).command = Some(value),
        "--health-interval" => health(wanted).interval = Some(duration(name, &value)?),
        "--health-timeout" => health(wanted).timeout = Some(duration(name, &value)?),
        "--health-start-period" => health(wanted).start = Some(duration(name, &value)?),
        "--health-retries" => health(wanted).retries = Some(number(name, &value)?),
        "--env" | "-e" => {
            let (name, value) = value.split_once('=').unwrap_or((&value, ""));
            wanted.env.insert(name.to_owned(), value.to_owned());
        }
        "--label" | "-l" => {
            let (name, value) = value.split_once('=').unwrap_or((&value, ""));
            if !name.starts_with("grit.") {
                wanted.labels.push((name.to_owned(), value.to_owned()));
            }
        }
        "--user" | "-u" => wanted.user = Some(value),
        "--workdir" | "-w" => wanted.cwd = Some(value),
        "--hostname" | "-h" => wanted.hostname = Some(value),
        "--name" => wanted.name = value,
        "--network-alias" => wanted.aliases.push(value),
        "--add-host" => wanted.hosts.push(value),
        "--dns" => wanted.dns.push(value),
        "--entrypoint" => wanted.entrypoint = Some(vec![value]),
        "--tmpfs" => {
            let (path, options) = value.split_once(':').unwrap_or((&value, ""));
            wanted.tmpfs.insert(path.to_owned(), options.to_owned());
        }
        "--memory" | "-m" => wanted.memory = Some(bytes(name, &value)?),
        "--shm-size" => wanted.shm = Some(bytes(name, &value)?),
        "--cpus" => {
            let cpus: f64 = value
                .parse()
                .ok()
                .filter(|cpus| *cpus > 0.0 && *cpus < 1e6)
                .ok_or_else(|| unreadable(name, &value))?;
            wanted.nano_cpus = Some((cpus * 1e9) as i64);
        }
        "--pid" => wanted.pid = Some(value),
        "--cap-add" => wanted.cap_add.push(value),
        "--cap-drop" => wanted.cap_drop.push(value),
        "--security-opt" => wanted.security.push(value),
        "--volume" | "-v" => wanted.mounts.push(super::wanted::mount(&value)?),
        "--publish" | "-p" => wanted.ports.push(super::wanted::port(&value)?),
        "--network" | "--net" => {
            return Err(format!("options: `{name}` cannot be used: the job's own network is"));
        }
        _ => return Err(format!("options: `{name}` is not understood by this version")),
    }
    Ok(())
}

fn health(wanted: &mut Wanted) -> &mut HealthCheck {
    wanted.health.get_or_insert_default()
}

fn unreadable(name: &str, value: &str) -> String {
    format!("options: `{name}` cannot be `{value}`")
}

fn number(name: &str, value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| unreadable(name, value))
}

/// As Docker writes them: `1m30s`, `500ms`.
fn duration(name: &str, value: &str) -> Result<Duration, String> {
    let wrong = || unreadable(name, value);
    let (mut nanos, mut rest) = (0.0_f64, value);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let count: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let unit = unit.unwrap_or(rest.len() - digits);
        let each = match &rest[digits..digits + unit] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        nanos += count * each;
        rest = &rest[digits + unit..];
    }
    if value.is_empty() || !(0.0..1e18).contains(&nanos) {
        return Err(wrong());
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// As Docker writes them: `512m`, `1g`.
fn bytes(name: &str, value: &str) -> Result<i64, String> {
    let text = value.to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, factor) = match text.chars().last() {
        Some('k') => (&text[..text.len() - 1], 1_i64 << 10),
        Some('m') => (&text[..text.len() - 1], 1 << 20),
        Some('g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let count: i64 =
        digits.parse().ok().filter(|count| *count >= 0).ok_or_else(|| unreadable(name, value))?;
    count.checked_mul(factor).ok_or_else(|| unreadable(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        apply(line, &mut wanted).map(|()| wanted)
    }

    #[test]
    fn a_health_check_as_workflows_write_it() {
        let wanted = read(
            r#"--health-cmd "pg_isready -U 'me'" --health-interval=10s --health-timeout 1m30s
               --health-retries 5 --health-start-period 500ms"#,
        );
        assert_eq!(
            wanted.unwrap().health.unwrap(),
            HealthCheck {
                command: Some("pg_isready -U 'me'".to_owned()),
                interval: Some(Duration::from_secs(10)),
                timeout: Some(Duration::from_secs(90)),
                start: Some(Duration::from_millis(500)),
                retries: Some(5),
            }
        );
    }

    #[test]
    fn what_create_takes() {
        let wanted = read(
            "--env A=b=c -e D --user 1000:1000 --entrypoint /bin/x --workdir /y --hostname h \
             --add-host a:1.2.3.4 --tmpfs /t:size=1m --memory 512m --cpus 1.5 --shm-size=1G --init",
        )
        .unwrap();
        assert_eq!(wanted.env["A"], "b=c");
        assert_eq!(wanted.env["D"], "");
        assert_eq!(wanted.user.as_deref(), Some("1000:1000"));
        assert_eq!(wanted.entrypoint, Some(vec!["/bin/x".to_owned()]));
        assert_eq!((wanted.memory, wanted.shm), (Some(512 << 20), Some(1 << 30)));
        assert_eq!(wanted.nano_cpus, Some(1_500_000_000));
        assert_eq!(wanted.tmpfs["/t"], "size=1m");
        assert!(wanted.init);
    }

    #[test]
    fn what_is_not_understood_or_not_given_is_said() {
        for (line, named) in [
            ("--gpus all", "--gpus"),
            ("--network host", "--network"),
            ("--memory much", "much"),
            ("--health-interval 10", "10"),
            ("--user", "no value"),
            ("--health-cmd 'x", "quote"),
        ] {
            let why = read(line).unwrap_err();
            assert!(why.contains(named), "{line}: {why}");
        }
    }

    #[test]
    fn what_opens_the_machine_is_named() {
        for (line, named) in [
            ("--privileged", "--privileged"),
            ("--cap-add SYS_ADMIN", "--cap-add=SYS_ADMIN"),
            ("--security-opt seccomp=unconfined", "--security-opt"),
            ("--pid=host", "--pid=host"),
            ("--volume /:/host", "`/`"),
            ("-v /var/run/docker.sock:/var/run/docker.sock:ro", "/var/run/docker.sock"),
            ("-v ../x:/y", "../x"),
        ] {
            let named_by = beyond(&read(line).unwrap()).unwrap();
            assert!(named_by.contains(named), "{line}: {named_by}");
        }
        for line in ["--init", "-v data:/data", "-v /data", "--security-opt no-new-privileges"] {
            assert_eq!(beyond(&read(line).unwrap()), None, "{line}");
        }
    }
}
