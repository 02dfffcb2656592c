use std::path::PathBuf;

use grit_pipeline::Conclusion;
use grit_pipeline::builtin::version::Tool;

use super::places::{Found, Places};
use super::setup::{absent, from_files, parse};
use super::{Given, Inputs, Stop};
use crate::host::step::Attempt;

/// `actions/setup-java`: each version by its variable, the last as `JAVA_HOME`.
pub(super) async fn run(
    at: &Attempt,
    inputs: &Inputs<'_>,
    given: &mut Given,
) -> Result<Conclusion, Stop> {
    let mut texts = inputs.lines("java-version");
    if texts.is_empty() {
        texts = from_files(at, Tool::Java, inputs.get("java-version-file"), &[]).await?;
    }
    if texts.is_empty() {
        return Err("setup-java needs `java-version` or `java-version-file`".to_owned().into());
    }
    let asked = parse(Tool::Java, &texts)?;
    let found = homes(at, inputs.or("java-package", "jdk") == "jdk").await;
    for asked in &asked {
        let picked = asked.pick(found.iter().map(|found| &found.version));
        let picked =
            picked.and_then(|version| found.iter().find(|found| found.version == *version));
        let picked = picked.ok_or_else(|| absent(at, Tool::Java, "java", asked, &found))?;
        use_it(at, picked, given, inputs).await?;
    }
    given.output("cache-hit", "false");
    Ok(Conclusion::Exited(0))
}

/// Every Java that is there, by the folder that it is in; `jdk`: one that compiles.
async fn homes(at: &Attempt, jdk: bool) -> Vec<Found> {
    let mut homes: Vec<Found> = Vec::new();
    for found in Places::of(Tool::Java).found(at).await {
        let is_known = homes.iter().any(|other| other.home == found.home);
        if !is_known && (!jdk || at.has(&found.home.join("bin/javac")).await) {
            homes.push(found);
        }
    }
    homes
}

async fn use_it(
    at: &Attempt,
    found: &Found,
    given: &mut Given,
    inputs: &Inputs<'_>,
) -> Result<(), Stop> {
    let home = found.home.display().to_string();
    let release = at.file_of_the_system(&found.home.join("release")).await;
    let vendor = vendor(&release.unwrap_or_default());
    let wanted = inputs.get("distribution").unwrap_or_default();
    let text = format!("java {} is used: {home}", found.version);
    at.say(&text).await?;
    if !wanted.is_empty() && !vendor.to_lowercase().contains(&vendor_of(wanted)) {
        let by = if vendor.is_empty() { "an unnamed vendor" } else { &vendor };
        let text = format!("it is of {by}; `distribution: {wanted}` is not looked for");
        at.announce("warning", "setup-java", &text).await?;
    }
    given.set("JAVA_HOME", home.clone());
    let arch = super::places::arch().to_uppercase();
    given.set(&format!("JAVA_HOME_{}_{arch}", found.version.major()), home.clone());
    given.output("path", home.clone());
    given.output("version", found.version.to_string());
    given.output("distribution", wanted);
    given.path.push(PathBuf::from(home).join("bin").display().to_string());
    Ok(())
}

fn vendor(release: &str) -> String {
    let found = release.lines().find_map(|line| line.strip_prefix("IMPLEMENTOR="));
    found.unwrap_or_default().trim_matches('"').to_owned()
}

/// What a distribution's vendor calls itself.
fn vendor_of(distribution: &str) -> String {
    match distribution {
        "temurin" | "adopt" => "adoptium",
        "zulu" => "azul",
        "corretto" => "amazon",
        "liberica" => "bellsoft",
        "graalvm" => "oracle",
        other => other,
    }
    .to_owned()
}
