//! A step that takes all there is: it fails, by name, and the rest goes on.

mod needs_unshare {
    use crate::env::{Env, GRIT};

    const CI: &str = ".github/workflows/ci.yml";
    const TEXT: &str = "on: push\njobs:\n  fill:\n    runs-on: ubuntu-latest\n    steps:\n      - run: head -c 1G /dev/zero > big\n      - if: always()\n        run: rm -f big\n  after:\n    needs: fill\n    if: always()\n    runs-on: ubuntu-latest\n    steps: [{ run: 'echo fine > file && cat file' }]\n";

    #[test]
    fn a_step_that_fills_the_disk_fails_and_the_rest_goes_on() {
        let env = Env::new();
        let repository = env.repository("repo", &[(CI, TEXT)]);
        let script = "mount -t tmpfs -o size=24m tmpfs \"$TMPDIR\" && exec \"$0\" run --json";
        let args = ["--user", "--map-root-user", "--mount", "sh", "-c", script, GRIT];
        let out = env.run(env.command("unshare", &repository).args(args)).expect_code(1);
        let document = out.document();
        let jobs = &document["data"][0]["jobs"];
        assert_eq!(jobs[0]["ending"], "failure", "{document:#}");
        assert_eq!(jobs[1]["ending"], "success", "{document:#}");
        assert!(out.stderr.contains("No space left on device"), "{out:?}");
    }
}
