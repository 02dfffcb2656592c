//! Services, guessed from nothing but the paths of a repository's files.

use std::collections::{BTreeMap, BTreeSet};

use grit_types::Service;
use serde::Serialize;

/// Something that looks like a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detected {
    /// A valid name of a service.
    pub name: String,
    /// Paths whose change concerns it.
    pub source: Vec<String>,
    /// How it is probably run, in the folder that the pipeline publishes.
    pub command: Vec<String>,
    pub language: &'static str,
    /// The file that gave it away.
    pub sign: String,
}

/// Folders in which each folder is a service.
const GROUPS: [&str; 3] = ["services", "apps", "cmd"];

/// Beside the groups: code that services share.
const SHARED: [&str; 9] =
    ["common", "internal", "lib", "libs", "packages", "pkg", "shared", "go.mod", "go.sum"];

const RUST: &str = "Rust";
const GO: &str = "Go";
const NODE: &str = "JavaScript";
const PYTHON: &str = "Python";
const JAVA: &str = "Java";
const CONTAINER: &str = "container";

/// Files that give a service away, the surest first.
const SIGNS: [(&str, &str); 16] = [
    ("Cargo.toml", RUST),
    ("go.mod", GO),
    ("package.json", NODE),
    ("pyproject.toml", PYTHON),
    ("requirements.txt", PYTHON),
    ("pom.xml", JAVA),
    ("build.gradle", JAVA),
    ("build.gradle.kts", JAVA),
    ("src/main.rs", RUST),
    ("main.rs", RUST),
    ("main.go", GO),
    ("main.py", PYTHON),
    ("app.py", PYTHON),
    ("server.js", NODE),
    ("index.js", NODE),
    ("Dockerfile", CONTAINER),
];

const NODE_ENTRIES: [&str; 4] = ["server.js", "index.js", "src/server.js", "src/index.js"];
const PYTHON_ENTRIES: [&str; 4] = ["main.py", "app.py", "server.py", "src/main.py"];

/// The services of a repository called `repo` with the files `paths`; the repository as a whole
/// where no folder of it is one, and nothing where that is none either.
pub fn services(paths: &[String], repo: &str) -> Vec<Detected> {
    let mut found = BTreeMap::new();
    for group in GROUPS {
        of_group(group, paths, &mut found);
    }
    if found.is_empty() {
        return whole(paths, repo).into_iter().collect();
    }
    found.into_values().collect()
}

fn of_group(group: &str, paths: &[String], found: &mut BTreeMap<String, Detected>) {
    let (mut services, mut shared) = (Vec::new(), Vec::new());
    for folder in folders(paths, group) {
        let place = format!("{group}/{folder}");
        let files = below(paths, &format!("{place}/"));
        match sign(&files) {
            Some((sign, language)) => services.push((folder, place, files, sign, language)),
            None => shared.push(place),
        }
    }
    shared.extend(top_level_shared(paths));
    for (folder, place, files, sign, language) in services {
        let name = free_name(group, folder, found);
        let service = Detected {
            command: command(language, &files, &name),
            language,
            sign: format!("{place}/{sign}"),
            source: std::iter::once(place).chain(shared.clone()).collect(),
            name: name.clone(),
        };
        found.insert(name, service);
    }
}

/// The folder's name, with its group's where another group has it, with a number after that.
fn free_name(group: &str, folder: &str, found: &BTreeMap<String, Detected>) -> String {
    let longer = (2..).map(|number| name(&format!("{number}-{group}-{folder}")));
    let mut names = [name(folder), name(&format!("{group}-{folder}"))].into_iter().chain(longer);
    // There are more numbers than folders.
    names.find(|name| !found.contains_key(name)).expect("a number is free")
}

/// The nearest valid name of a service, which is also a part of an image's name.
pub fn name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let mapped =
        text.chars().map(|c| c.to_ascii_lowercase()).map(|c| if allowed(c) { c } else { '-' });
    let mapped: String = mapped.collect::<String>().replace("..", "-");
    let cut: String = mapped.trim_matches(|c: char| "._-".contains(c)).chars().take(63).collect();
    let name = cut.trim_end_matches(|c: char| "._-".contains(c));
    match name.parse::<Service>() {
        Ok(name) => name.to_string(),
        Err(_) => "service".to_owned(),
    }
}

fn whole(paths: &[String], repo: &str) -> Option<Detected> {
    let files = below(paths, "");
    let (sign, language) = sign(&files)?;
    Some(Detected {
        name: repo.to_owned(),
        source: vec![".".to_owned()],
        command: command(language, &files, repo),
        language,
        sign: sign.to_owned(),
    })
}

/// The names of the folders in `group`, without those that YAML could not hold.
fn folders<'a>(paths: &'a [String], group: &str) -> BTreeSet<&'a str> {
    let inside = paths.iter().filter_map(|path| path.strip_prefix(group)?.strip_prefix('/'));
    let named = inside.filter_map(|path| Some(path.split_once('/')?.0));
    named.filter(|name| !name.chars().any(char::is_control)).collect()
}

fn below<'a>(paths: &'a [String], folder: &str) -> BTreeSet<&'a str> {
    paths.iter().filter_map(|path| path.strip_prefix(folder)).collect()
}

fn top_level_shared(paths: &[String]) -> impl Iterator<Item = String> {
    let tops: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    SHARED.into_iter().filter(move |name| tops.contains(name)).map(str::to_owned)
}

fn sign(files: &BTreeSet<&str>) -> Option<(&'static str, &'static str)> {
    let is_library = files.contains("src/lib.rs")
        && !files.iter().any(|file| *file == "src/main.rs" || file.starts_with("src/bin/"));
    SIGNS
        .into_iter()
        .find(|(sign, language)| files.contains(sign) && !(is_library && *language == RUST))
}

fn command(language: &str, files: &BTreeSet<&str>, name: &str) -> Vec<String> {
    let entry = |of: &[&str]| of.iter().find(|file| files.contains(*file)).map(|f| (*f).to_owned());
    match language {
        NODE => match entry(&NODE_ENTRIES) {
            Some(entry) => vec!["node".to_owned(), entry],
            None => vec!["npm".to_owned(), "start".to_owned()],
        },
        PYTHON => match entry(&PYTHON_ENTRIES) {
            Some(entry) => vec!["python3".to_owned(), entry],
            None => vec!["python3".to_owned(), "-m".to_owned(), name.replace(['-', '.'], "_")],
        },
        JAVA => vec!["java".to_owned(), "-jar".to_owned(), format!("{name}.jar")],
        _ => vec![format!("./{name}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(paths: &[&str]) -> Vec<Detected> {
        services(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>(), "shop")
    }

    fn names(paths: &[&str]) -> Vec<String> {
        detect(paths).into_iter().map(|service| service.name).collect()
    }

    #[test]
    fn folders_with_a_program_are_services_and_the_others_are_shared() {
        let found = detect(&[
            "README.md",
            "services/api/src/main.rs",
            "services/common/http.rs",
            "services/web/package.json",
            "services/web/src/index.js",
            "services/notes.txt",
        ]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].source, ["services/api", "services/common"]);
        assert_eq!(found[0].command, ["./api"]);
        assert_eq!(found[0].sign, "services/api/src/main.rs");
        assert_eq!(found[1].command, ["node", "src/index.js"]);
    }

    #[test]
    fn each_group_counts_and_a_name_is_given_once() {
        let paths = ["apps/api/pyproject.toml", "services/api/Dockerfile", "cmd/job/main.go"];
        assert_eq!(names(&paths), ["api", "apps-api", "job"]);
        let paths = ["apps/api/app.py", "services/api/app.py", "services/apps-api/app.py"];
        assert_eq!(names(&paths), ["2-apps-api", "api", "apps-api"]);
    }

    #[test]
    fn go_programs_share_what_stands_beside_them() {
        let found = detect(&["go.mod", "cmd/api/main.go", "internal/store/store.go", "docs/a.md"]);
        assert_eq!(found[0].source, ["cmd/api", "internal", "go.mod"]);
    }

    #[test]
    fn a_repository_is_one_service_where_no_folder_is() {
        for (file, command) in [
            ("Cargo.toml", "./shop"),
            ("go.mod", "./shop"),
            ("package.json", "npm start"),
            ("pyproject.toml", "python3 -m shop"),
            ("app.py", "python3 app.py"),
            ("pom.xml", "java -jar shop.jar"),
            ("Dockerfile", "./shop"),
        ] {
            let found = detect(&[file, "README.md"]);
            assert_eq!(found[0].source, ["."], "{file}");
            assert_eq!(found[0].command.join(" "), command, "{file}");
        }
    }

    #[test]
    fn a_library_and_a_text_are_no_services() {
        assert_eq!(names(&["README.md"]), Vec::<String>::new());
        assert_eq!(names(&["Cargo.toml", "src/lib.rs"]), Vec::<String>::new());
        assert_eq!(names(&["Cargo.toml", "src/lib.rs", "src/bin/serve.rs"]), ["shop"]);
    }

    #[test]
    fn any_folder_gets_a_valid_name() {
        for (folder, expected) in [
            ("Web Shop", "web-shop"),
            ("_api_", "api"),
            ("a..b", "a-b"),
            ("ü", "service"),
            ("", "service"),
        ] {
            assert_eq!(name(folder), expected, "{folder}");
        }
        assert_eq!(name(&"a-".repeat(60)).len(), 63);
    }
}
