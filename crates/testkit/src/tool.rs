use std::path::PathBuf;

/// The path of a program that a test cannot do without; panics with the line that installs it.
#[track_caller]
pub fn tool(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("`{name}` is missing: apt-get install -y {package}"))
}
