use grit_pipeline::Conclusion;

use super::{Inputs, Stop};
use crate::host::step::Attempt;

const NOT_INSTALLED: &str =
    "`trivy` is not installed: https://trivy.dev/latest/getting-started/installation";

/// Inputs of `aquasecurity/trivy-action` that are flags with one value.
const VALUES: &[(&str, &str)] = &[
    ("format", "--format"),
    ("template", "--template"),
    ("output", "--output"),
    ("severity", "--severity"),
    ("exit-code", "--exit-code"),
    ("vuln-type", "--pkg-types"),
    ("scanners", "--scanners"),
    ("skip-dirs", "--skip-dirs"),
    ("skip-files", "--skip-files"),
    ("cache-dir", "--cache-dir"),
    ("timeout", "--timeout"),
    ("trivy-config", "--config"),
    ("ignore-policy", "--ignore-policy"),
    ("tf-vars", "--tf-vars"),
    ("docker-host", "--docker-host"),
];

const SWITCHES: &[(&str, &str)] = &[
    ("ignore-unfixed", "--ignore-unfixed"),
    ("list-all-pkgs", "--list-all-pkgs"),
    ("hide-progress", "--no-progress"),
];

/// `aquasecurity/trivy-action`: with the trivy of the `PATH`.
pub(super) async fn trivy(at: &Attempt, inputs: &Inputs<'_>) -> Result<Conclusion, Stop> {
    if at.find("trivy").await.is_none() {
        return Err(match at.job.inside() {
            Some(_) => at.not_installed("trivy"),
            None => NOT_INSTALLED.to_owned(),
        }
        .into());
    }
    let kind = inputs.or("scan-type", "image");
    const KINDS: [&str; 8] =
        ["image", "fs", "filesystem", "repo", "config", "rootfs", "sbom", "vm"];
    if !KINDS.contains(&kind) {
        return Err(format!("`{kind}` is no kind of scan").into());
    }
    let mut words = vec!["trivy".to_owned(), kind.to_owned()];
    for (input, flag) in VALUES {
        words.extend(inputs.get(input).map(|value| format!("{flag}={value}")));
    }
    words.extend(
        SWITCHES
            .iter()
            .filter(|(input, _)| inputs.is_on(input))
            .map(|(_, flag)| (*flag).to_owned()),
    );
    let ignored = inputs.list("trivyignores");
    if let Some(file) = ignored.first() {
        words.push(format!("--ignorefile={file}"));
    }
    let target = match kind {
        "image" => inputs.get("image-ref").or_else(|| inputs.get("scan-ref")),
        _ => Some(inputs.or("scan-ref", ".")),
    };
    match (inputs.get("input"), target) {
        (Some(file), _) => words.push(format!("--input={file}")),
        (None, Some(target)) if !target.starts_with('-') => words.push(target.to_owned()),
        _ => return Err("trivy-action needs `image-ref`, `scan-ref` or `input`".to_owned().into()),
    }
    Ok(at.execute(words, &[]).await?)
}
