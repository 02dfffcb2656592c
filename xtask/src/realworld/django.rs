//! A page's workflow, as it stands there, on a Django project that `django-admin` makes here: the same tests run under
//! `grit run` and by hand.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    fetch::{commit, done},
    process::{clean, limited},
};
use crate::{cases, repo::Repo};

const DJANGO: &str = "django==5.2.8";
const PYTHON: &str = "3.11";
/// What the name of the page begins with.
const PAGE: &str = "002_";
const WORKFLOW: &str = ".github/workflows/auth-tests.yml";

/// The page says that the suite tests authentication, and not what is in it.
const TESTS: &str = r#"from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Permission
from django.contrib.auth.tokens import default_token_generator
from django.test import TestCase


class AuthTests(TestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("ada", "ada@example.com", "engine-1843")

    def test_password_is_stored_hashed(self):
        self.assertNotIn("engine-1843", self.user.password)
        self.assertTrue(self.user.check_password("engine-1843"))

    def test_right_password_authenticates(self):
        self.assertEqual(authenticate(username="ada", password="engine-1843"), self.user)

    def test_wrong_password_does_not(self):
        self.assertIsNone(authenticate(username="ada", password="engine-1844"))

    def test_inactive_user_does_not(self):
        self.user.is_active = False
        self.user.save()
        self.assertIsNone(authenticate(username="ada", password="engine-1843"))

    def test_login_makes_a_session_and_logout_ends_it(self):
        self.assertTrue(self.client.login(username="ada", password="engine-1843"))
        self.assertIn("_auth_user_id", self.client.session)
        self.client.logout()
        self.assertNotIn("_auth_user_id", self.client.session)

    def test_anonymous_is_sent_from_admin_to_login(self):
        self.assertRedirects(self.client.get("/admin/"), "/admin/login/?next=/admin/")

    def test_permission_is_granted(self):
        self.user.user_permissions.add(Permission.objects.get(codename="add_user"))
        fresh = get_user_model().objects.get(pk=self.user.pk)
        self.assertTrue(fresh.has_perm("auth.add_user"))
        self.assertFalse(fresh.has_perm("auth.delete_user"))

    def test_reset_token_ends_with_the_password(self):
        token = default_token_generator.make_token(self.user)
        self.assertTrue(default_token_generator.check_token(self.user, token))
        self.user.set_password("difference-1822")
        self.user.save()
        self.assertFalse(default_token_generator.check_token(self.user, token))
"#;

/// Whether both sides ran the same number of tests, at least one, to the same end. Without the pages nothing is run, and
/// that is said.
///
/// # Errors
/// The project cannot be made.
pub fn run(repo: &Repo, binary: &Path, folder: &Path, limit: Duration) -> Result<bool> {
    let Some(pages) = cases::pages_given(repo)? else {
        println!("django: {}", cases::NOT_RUN);
        return Ok(true);
    };
    let workflow = workflow(&fs::read_to_string(page(&pages)?)?)?;
    let python = python()?;
    fs::create_dir_all(folder.join("tmp"))?;
    let project = project(&python, folder, &workflow)?;
    let hand = by_hand(&python, folder, &project, limit)?;
    let ours = by_grit(&python, binary, folder, &project, limit)?;
    let agrees = ours == hand && ours.tests > 0;
    let result = match (agrees, ours.success) {
        (false, _) => "DIFFERS",
        (true, true) => "green",
        (true, false) => "red",
    };
    println!(
        "django: {WORKFLOW} of the page, {DJANGO}: tests {} by Grit, {} by hand, {result}",
        ours.tests, hand.tests
    );
    Ok(agrees)
}

fn page(pages: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(pages).with_context(|| format!("list {}", pages.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_page = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PAGE))
    };
    paths.find(is_page).with_context(|| format!("{} has no page `{PAGE}…`", pages.display()))
}

/// The block behind the file's name, as it stands.
fn workflow(page: &str) -> Result<String> {
    let (_, behind) =
        page.split_once(WORKFLOW).with_context(|| format!("the page has no {WORKFLOW}"))?;
    let block = behind.split_once("```yaml\n").and_then(|(_, block)| block.split_once("```"));
    Ok(block.context("no block of YAML behind its name")?.0.to_owned())
}

fn python() -> Result<PathBuf> {
    let output = Command::new(format!("python{PYTHON}"))
        .args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"])
        .output()
        .with_context(|| format!("start python{PYTHON}"))?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "" => {
            bail!("python{PYTHON} does not run: {}", String::from_utf8_lossy(&output.stderr).trim())
        }
        path => Ok(path.into()),
    }
}

/// An environment of its own, so that what the workflow installs stays in it.
fn environment(python: &Path, at: &Path) -> Result<PathBuf> {
    done(Command::new(python).args(["-m", "venv"]).arg(at))?;
    Ok(at.join("bin"))
}

fn project(python: &Path, folder: &Path, workflow: &str) -> Result<PathBuf> {
    let tools = environment(python, &folder.join("tools"))?;
    done(Command::new(tools.join("pip")).args(["install", "--quiet", DJANGO]))?;
    let project = folder.join("project");
    let auth = project.join("auth");
    fs::create_dir_all(&auth)?;
    done(
        Command::new(tools.join("django-admin"))
            .args(["startproject", "service", "."])
            .current_dir(&auth),
    )?;
    done(
        Command::new(tools.join("python"))
            .args(["manage.py", "startapp", "users"])
            .current_dir(&auth),
    )?;
    fs::write(auth.join("users/tests.py"), TESTS)?;
    fs::write(auth.join("requirements.txt"), format!("{DJANGO}\n"))?;
    let file = project.join(WORKFLOW);
    fs::create_dir_all(file.parent().context("a workflow lies in a folder")?)?;
    fs::write(file, workflow)?;
    commit(&project, "A project")?;
    Ok(project)
}

#[derive(Debug, PartialEq, Eq)]
struct Ran {
    success: bool,
    tests: u64,
}

fn by_hand(python: &Path, folder: &Path, project: &Path, limit: Duration) -> Result<Ran> {
    let programs = environment(python, &folder.join("hand"))?;
    let script = "python -m pip install --quiet --upgrade pip\npip install --quiet -r requirements.txt\n\
                  python manage.py test users.tests\n";
    let mut command = Command::new("bash");
    command
        .args(["-e", "-c", script])
        .current_dir(project.join("auth"))
        .env("PATH", before_path(&programs)?);
    let ended = limited(&mut command, folder, limit)?;
    let tests = tests(&ended.stderr);
    let success = ended.status.is_some_and(|status| status.success());
    if !success {
        println!("django, by hand:\n{}", ended.stderr.trim());
    }
    Ok(Ran { success, tests })
}

/// The version that the workflow asks for lies where a runner keeps tools.
fn by_grit(
    python: &Path,
    binary: &Path,
    folder: &Path,
    project: &Path,
    limit: Duration,
) -> Result<Ran> {
    let version = Command::new(python)
        .args(["-c", "import platform; print(platform.python_version())"])
        .output()?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let cache = folder.join("cache");
    let home = cache.join("Python").join(&version).join("x64");
    environment(python, &home)?;
    fs::write(home.with_extension("complete"), "")?;
    let logs = folder.join("logs");
    let mut command = clean(binary);
    command.args(["run", "--json", "-W", "auth-tests.yml", "--data"]).arg(folder.join("data"));
    command.arg("--logs").arg(&logs).current_dir(project);
    command.env("RUNNER_TOOL_CACHE", &cache).env("TMPDIR", folder.join("tmp"));
    let ended = limited(&mut command, folder, limit)?;
    let success = ended.status.is_some_and(|status| status.success());
    if !success {
        println!("django, by Grit:\n{}", ended.stderr.trim());
    }
    Ok(Ran { success, tests: tests(&super::compare::log(&logs, "")?) })
}

fn before_path(folder: &Path) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    env::join_paths(folders).context("a folder cannot be on the PATH")
}

/// From `Ran 8 tests in 1.234s`.
fn tests(said: &str) -> u64 {
    let count = |line: &str| {
        let (number, rest) = line.split_once("Ran ")?.1.split_once(' ')?;
        rest.starts_with("test").then(|| number.parse::<u64>().ok())?
    };
    said.lines().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_behind_the_files_name_is_the_workflow() {
        let page = "# CI\n```yaml\nother: 1\n```\n**File**: `.github/workflows/auth-tests.yml`\n\n```yaml\nname: A\n```\n";
        assert_eq!(workflow(page).unwrap(), "name: A\n");
        assert!(workflow("# CI").is_err());
    }

    #[test]
    fn tests_are_counted() {
        assert_eq!(super::tests("....\n-----\nRan 8 tests in 1.234s\n\nOK\n"), 8);
        assert_eq!(super::tests("2026 | Ran 1 test in 0.1s"), 1);
        assert_eq!(super::tests("Ran away"), 0);
    }
}
