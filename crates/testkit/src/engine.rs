//! A Docker engine for the tests of one program: its own daemon, data and socket, ended with the
//! program, however that ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The name of the image that is there from the beginning: BusyBox with all its names in `/bin`.
pub const BUSYBOX: &str = "grit-test/busybox:1";

/// Where Debian keeps servers and static programs.
const PLACES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// On a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until nobody holds the other end of its input any more, which is when the test's program
/// is gone, then ends the daemon by its own process id and removes its folder.
const KEEPER: &str = r#"
trap '' INT
folder=$1; shift
dockerd "$@" >"$folder/log" 2>&1 &
pid=$!
read -r _
# An engine that ends leaves its networks to the one that comes after it; after this one comes none.
export DOCKER_HOST="unix://$folder/sock"
docker ps --all --quiet | xargs -r docker rm --force --volumes >/dev/null 2>&1
docker network ls --quiet --filter type=custom | xargs -r docker network rm >/dev/null 2>&1
kill "$pid"
wait "$pid"
for mount in $(sed -n "s#^[^ ]* \($folder[^ ]*\) .*#\1#p" /proc/mounts | sort -r); do
  umount -l "$mount"
done
rm -rf "$folder"
"#;

/// A daemon of the test's own.
pub struct TestEngine {
    folder: PathBuf,
    /// Its input is open as long as this program lives.
    _keeper: Child,
}

/// The engine of this program, started when it is first asked for.
pub fn engine() -> &'static TestEngine {
    static ENGINE: OnceLock<TestEngine> = OnceLock::new();
    ENGINE.get_or_init(TestEngine::start)
}

impl TestEngine {
    /// As `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs Docker's own client, which must succeed; answers what it says.
    pub fn docker(&self, args: &[&str]) -> String {
        let out = self.client(args).output().expect("start docker");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "docker {args:?}: {said}{error}");
        said
    }

    /// Docker's own client, with nothing of the tester's settings.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", self.host()).env("PATH", PLACES);
        command.env("DOCKER_CONFIG", self.folder.join("client"));
        command.stdin(Stdio::null());
        command
    }

    /// Makes an image of a folder; each change is a line of a `Dockerfile`.
    pub fn import(&self, root: &Path, name: &str, changes: &[&str]) {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root).args(["--numeric-owner", "-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("start tar");
        let mut args = vec!["import"];
        changes.iter().for_each(|change| args.extend(["--change", change]));
        args.extend(["-", name]);
        let packed = tar.stdout.take().expect("the output of tar");
        let out = self.client(&args).stdin(packed).output().expect("start docker");
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(tar.wait().expect("tar").success() && out.status.success(), "import: {error}");
    }

    /// Makes an image of programs of this machine, with the libraries that they need, over BusyBox.
    pub fn import_programs(&self, name: &str, programs: &[&str]) {
        let root = self.folder.join("programs");
        for program in programs {
            let said = Command::new("ldd").arg(program).output().expect("start ldd").stdout;
            let said = String::from_utf8_lossy(&said).into_owned();
            let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
            for file in libraries.chain([*program]) {
                let to = root.join(file.trim_start_matches('/'));
                fs::create_dir_all(to.parent().expect("a folder")).expect("make a folder");
                fs::copy(file, to).expect("copy a file");
            }
        }
        let recipe = format!("FROM {BUSYBOX}\nCOPY . /\nENV PATH=/usr/bin:/bin\n");
        fs::write(root.join("Dockerfile"), recipe).expect("write a file");
        let folder = root.to_string_lossy();
        self.docker(&["build", "--quiet", "--tag", name, &folder]);
        fs::remove_dir_all(&root).expect("remove a folder");
    }

    /// The ids of all containers and networks that have the label.
    pub fn labelled(&self, label: &str) -> Vec<String> {
        let filter = format!("label={label}");
        let containers = self.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let networks = self.docker(&["network", "ls", "--quiet", "--filter", &filter]);
        containers.lines().chain(networks.lines()).map(str::to_owned).collect()
    }

    fn start() -> Self {
        // A socket's path is short, whatever folder tests have for temporary files.
        let folder = tempfile::Builder::new().prefix("grit-engine-").tempdir_in("/tmp");
        let folder = folder.expect("make a folder for the engine").keep();
        let path = |name: &str| folder.join(name).display().to_string();
        let socket = format!("unix://{}", path("sock"));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&folder).env("PATH", PLACES);
        keeper.args(["--data-root", &path("data"), "--exec-root", &path("exec")]);
        keeper.args(["--pidfile", &path("pid"), "--host", &socket, "--bridge", "none"]);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = keeper.spawn().expect("start the engine's keeper");
        let engine = Self { folder, _keeper: keeper };
        let end = Instant::now() + PATIENCE;
        while !engine.answers() {
            let log = || fs::read_to_string(engine.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the engine does not start:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
        engine.import_busybox();
        engine
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.socket()) else { return false };
        let mut said = [0; 12];
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_exact(&mut said).is_ok()
            && said.ends_with(b"200")
    }

    fn import_busybox(&self) {
        let root = self.folder.join("busybox");
        fs::create_dir_all(root.join("bin")).expect("make bin");
        for name in ["etc", "tmp", "root"] {
            fs::create_dir_all(root.join(name)).expect("make a folder");
        }
        let program = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let program = program.into_iter().find(|path| path.is_file()).expect("busybox-static");
        fs::copy(program, root.join("bin/busybox")).expect("copy busybox");
        let names = Command::new(program).arg("--list").output().expect("list busybox").stdout;
        for name in String::from_utf8_lossy(&names).lines().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(name)).expect("link a name");
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("passwd");
        self.import(&root, BUSYBOX, &["ENV PATH=/bin", "CMD [\"sh\"]"]);
        fs::remove_dir_all(root).expect("remove the folder of busybox");
    }
}
