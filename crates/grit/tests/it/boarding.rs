//! `grit board` on a terminal: it opens, it ends, and the terminal is as it was.

use std::io::{PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::env::{Env, GRIT, Out, PATIENCE, Running};

/// What a terminal is told (xterm's control sequences): the other screen and back, and the cursor.
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";
const CURSOR_SHOWN: &str = "\u{1b}[?25h";

/// Keeps its settings from before and after, and how the board ended.
const SHELL: &str = "stty rows 24 cols 100; stty -g >$OUT/before; \
    sh -c 'echo $$ >$OUT/pid.new; mv $OUT/pid.new $OUT/pid; exec \"$GRIT\" board'; \
    echo $? >$OUT/code; stty -g >$OUT/after";

/// A board on a pseudo-terminal that `script` of util-linux has made.
struct Screen {
    running: Running,
    keys: PipeWriter,
    out: PathBuf,
}

impl Screen {
    fn open(env: &Env, folder: &Path) -> Self {
        let out = env.path("screen");
        std::fs::create_dir(&out).unwrap();
        let (typed, keys) = std::io::pipe().unwrap();
        let mut script: Command = env.command("script", folder);
        script
            .args(["--quiet", "--flush", "--return", "--command", SHELL])
            .arg(out.join("typescript"))
            .env("OUT", &out)
            .env("GRIT", GRIT)
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(typed);
        let running = env.start(&mut script);
        // Its own end of the pipe would keep it open.
        script.stdin(std::process::Stdio::null());
        Self { running, keys, out }
    }

    fn shown(&self) -> String {
        let bytes = std::fs::read(self.out.join("typescript")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = self.told("pid").parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    fn told(&self, name: &str) -> String {
        std::fs::read_to_string(self.out.join(name)).unwrap().trim().to_owned()
    }

    /// How the board ended, on a terminal that is as it was.
    fn closed(self) -> String {
        let Self { running, keys, out } = self;
        let Out { code, .. } = running.wait();
        assert_eq!(code, Some(0), "the shell around it");
        drop(keys);
        let told = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(told("before"), told("after"), "the terminal's settings");
        let bytes = std::fs::read(out.join("typescript")).unwrap();
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let at = |text: &str| shown.rfind(text).unwrap_or_else(|| panic!("{text:?}: {shown:?}"));
        assert!(at(LEFT) > at(ENTERED), "{shown:?}");
        assert!(at(CURSOR_SHOWN) > at(ENTERED), "{shown:?}");
        told("code").trim().to_owned()
    }
}

fn opened(env: &Env) -> Screen {
    let folder = env.repository("one", &[("README", "seed\n")]);
    env.grit(&folder, &["issue", "create", "--title", "Leaks"]).expect_code(0);
    let screen = Screen::open(env, &folder);
    screen.wait_for(ENTERED);
    screen.wait_for("Leaks");
    screen
}

mod needs_script {
    use super::*;

    #[test]
    fn q_ends_the_board_and_gives_the_terminal_back() {
        let env = Env::new();
        let mut screen = opened(&env);
        screen.press("q");
        assert_eq!(screen.closed(), "0");
    }

    #[test]
    fn a_signal_ends_the_board_and_gives_the_terminal_back() {
        let env = Env::new();
        let screen = opened(&env);
        screen.signal(Signal::TERM);
        assert_eq!(screen.closed(), "130");
    }
}
