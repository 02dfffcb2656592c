use grit_pipeline::{Conclusion, RunnerError};

use super::environment::find_program;
use super::process::{self, Command};
use super::step::Attempt;

/// Sees that a program is there and works: it tells its version.
pub(super) async fn run(at: &Attempt, program: &str) -> Result<Conclusion, RunnerError> {
    if program.is_empty() || program.contains(['/', '\0']) {
        return Ok(Conclusion::Unable(format!("`{program}` is no name of a program")));
    }
    if at.job.inside().is_some() {
        return in_container(at, program).await;
    }
    let Some(path) = find_program(program, &at.variables) else {
        at.say(&not_installed(program)).await?;
        return Ok(Conclusion::Exited(1));
    };
    at.say(&format!("`{program}` of this machine is used: {}", path.display())).await?;
    let words = vec![program.to_owned(), version_flag(program).to_owned()];
    let cwd = at.job.folder.workspace();
    process::run(at, Command { words, cwd, variables: at.variables.clone() }).await
}

async fn in_container(at: &Attempt, program: &str) -> Result<Conclusion, RunnerError> {
    at.say(&format!("`{program}` of the job's container is used:")).await?;
    let words = vec![program.to_owned(), version_flag(program).to_owned()];
    let cwd = at.job.folder.workspace();
    let command = Command { words, cwd, variables: at.variables.clone() };
    match process::run(at, command).await? {
        // As shells and engines say it.
        Conclusion::Exited(126 | 127) => {
            at.say(&format!("The image of the job's container has no `{program}`.")).await?;
            Ok(Conclusion::Exited(1))
        }
        conclusion => Ok(conclusion),
    }
}

/// What to do about a program that is not there.
pub(super) fn not_installed(program: &str) -> String {
    let how = match program {
        "cargo" | "rustc" | "rustup" => "https://rustup.rs",
        "pwsh" => "https://learn.microsoft.com/powershell/scripting/install",
        "go" => "https://go.dev/dl",
        "bun" => "https://bun.sh",
        "deno" => "https://deno.com",
        "uv" => "https://docs.astral.sh/uv",
        "pnpm" | "yarn" => {
            return format!("`{program}` is not installed: npm install -g {program}");
        }
        "python" | "python3" => "apt-get install python3",
        "pip" | "pip3" => "apt-get install python3-pip",
        "sh" => "apt-get install dash",
        "node" => "apt-get install nodejs",
        "java" | "javac" => "apt-get install default-jdk",
        "bash" | "git" | "npm" | "ruby" | "make" | "gcc" | "perl" | "php" | "curl" => {
            return format!("`{program}` is not installed: apt-get install {program}");
        }
        _ => return format!("`{program}` is not installed, or not on the PATH of this machine"),
    };
    format!("`{program}` is not installed: {how}")
}

fn version_flag(program: &str) -> &'static str {
    match program {
        "go" => "version",
        "java" | "javac" => "-version",
        _ => "--version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_do() {
        assert_eq!(not_installed("bash"), "`bash` is not installed: apt-get install bash");
        assert_eq!(not_installed("cargo"), "`cargo` is not installed: https://rustup.rs");
        assert!(not_installed("frobnicate").contains("not on the PATH"));
    }
}
