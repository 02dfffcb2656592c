//! A remote that asks who is there: git over HTTPS, with a certificate of our own, from a server that
//! wants a password. Git's own ways to answer are Grit's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::env::{Env, GRIT, Out, Running, wait_for};

/// `git http-backend` behind the least of a server; it tells its port.
const SERVER: &str = r#"
import base64, http.server, os, ssl, subprocess, sys
root, certificate = sys.argv[1:]
wanted = "Basic " + base64.b64encode(b"tess:secret").decode()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != wanted:
            return self.tell(401, [("WWW-Authenticate", 'Basic realm="hosted"')], b"")
        path, _, query = self.path.partition("?")
        env = dict(os.environ, GIT_PROJECT_ROOT=root, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path,
                   QUERY_STRING=query, REQUEST_METHOD=self.command, REMOTE_USER="tess",
                   CONTENT_LENGTH=str(len(body)),
                   CONTENT_TYPE=self.headers.get("Content-Type", ""),
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
                   GIT_PROTOCOL=self.headers.get("Git-Protocol", ""))
        out = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
        head, _, rest = out.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = [value for name, value in lines if name == "Status"]
        self.tell(int(status[0][:3]) if status else 200,
                  [line for line in lines if line[0] != "Status"], rest)

    def tell(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
server = Server(("127.0.0.1", 0), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

const REQUEST: [&str; 14] = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-noenc",
    "-days",
    "2",
    "-subj",
    "/CN=127.0.0.1",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
    "-keyout",
];

/// A remote behind HTTPS, for as long as this lives.
struct Host {
    env: Env,
    _server: Running,
    url: String,
}

impl Host {
    fn new() -> Self {
        let env = Env::new();
        let seed = env.repository("seed", &[("README", "seed\n")]);
        env.host(&seed);
        let here = env.path("");
        let (pem, out) = (env.path("pem"), env.path("certificate"));
        let mut request = env.command("openssl", &here);
        request.args(REQUEST).arg(&pem).arg("-out").arg(&out);
        env.run(&mut request).expect_code(0);
        let both = std::fs::read(&pem).unwrap().into_iter();
        std::fs::write(&pem, both.chain(std::fs::read(&out).unwrap()).collect::<Vec<_>>()).unwrap();
        std::fs::write(env.path("server.py"), SERVER).unwrap();
        let mut server = env.command("python3", &here);
        let server = env.start(server.arg("server.py").arg(&here).arg(&pem));
        let port = wait_for("port", || match server.stdout().trim().parse::<u16>() {
            Ok(port) => Ok(port),
            Err(_) => Err(server.stderr()),
        });
        Self { env, _server: server, url: format!("https://127.0.0.1:{port}/hosted.git") }
    }

    /// A clone that knows the remote by its URL, and no password.
    fn clone(&self, name: &str) -> PathBuf {
        self.env.git(&self.env.path(""), &["clone", "--quiet", "hosted.git", name]);
        let folder = self.env.path(name);
        self.env.git(&folder, &["remote", "set-url", "origin", &self.url]);
        folder
    }

    /// Grit where the certificate is trusted, and `askpass` may be asked.
    fn grit(&self, folder: &Path, askpass: Option<&Path>, args: &[&str]) -> Out {
        let mut command = self.env.command(GRIT, folder);
        command.args(args).env("GIT_SSL_CAINFO", self.env.path("certificate"));
        if let Some(askpass) = askpass {
            command.env("GIT_ASKPASS", askpass);
        }
        self.env.run(&mut command)
    }

    /// A program that answers git's questions, with this password.
    fn askpass(&self, password: &str) -> PathBuf {
        let path = self.env.path(&format!("ask-{password}"));
        let script =
            format!("#!/bin/sh\ncase $1 in Username*) echo tess ;; *) echo {password} ;; esac\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn create(&self, folder: &Path) {
        self.env.grit(folder, &["issue", "create", "--title", "t"]).expect_code(0);
    }
}

const SYNC: [&str; 1] = ["sync"];
const ACQUIRE: [&str; 3] = ["lock", "acquire", "deploy:x"];
const RELEASE: [&str; 3] = ["lock", "release", "deploy:x"];

const HELPER: &str = "!f() { test \"$1\" = get && echo username=tess && echo password=secret; }; f";

mod needs_openssl {
    mod needs_python3 {
        use super::super::*;

        #[test]
        fn a_password_comes_from_a_helper_or_from_the_program_that_asks() {
            let host = Host::new();
            let (one, two) = (host.clone("one"), host.clone("two"));
            host.env.git(&one, &["config", "credential.helper", HELPER]);
            let askpass = host.askpass("secret");
            let asked = |args: &[&str]| host.grit(&two, Some(&askpass), args);
            host.create(&one);
            host.create(&two);
            let out = host.grit(&one, None, &SYNC).expect_code(0);
            assert_eq!(out.stdout, "origin: 0 received, 1 sent\n");
            assert_eq!(asked(&SYNC).expect_code(0).stdout, "origin: 1 received, 1 sent\n");
            assert_eq!(host.grit(&one, None, &ACQUIRE).expect_code(0).stdout, "1\n");
            asked(&ACQUIRE).expect_code(4);
            host.grit(&one, None, &RELEASE).expect_code(0);
            assert_eq!(asked(&ACQUIRE).expect_code(0).stdout, "2\n");
            asked(&RELEASE).expect_code(0);
        }

        #[test]
        fn without_the_right_password_it_is_told_and_nothing_is_granted() {
            let host = Host::new();
            let one = host.clone("one");
            host.create(&one);
            let wrong = host.askpass("guessed");
            for (askpass, reason) in
                [(None, "could not read Username"), (Some(&*wrong), "Authentication failed")]
            {
                for args in [&SYNC[..], &ACQUIRE] {
                    let out = host.grit(&one, askpass, args).expect_code(5);
                    assert!(out.stderr.contains(reason), "{args:?}: {out:?}");
                }
            }
            let refs = host.env.git(&host.env.path("hosted.git"), &["for-each-ref", "refs/grit"]);
            assert_eq!(refs, "");
        }

        #[test]
        fn a_remote_that_lets_everybody_look_and_nobody_push_is_told() {
            let host = Host::new();
            let (one, askpass) = (host.clone("one"), host.askpass("secret"));
            host.env.git(&host.env.path("hosted.git"), &["config", "http.receivepack", "false"]);
            host.create(&one);
            for args in [&SYNC[..], &ACQUIRE] {
                let out = host.grit(&one, Some(&askpass), args).expect_code(5);
                assert!(out.stderr.contains("403"), "{args:?}: {out:?}");
            }
        }
    }
}
