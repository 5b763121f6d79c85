//! Moto: an S3-compatible server that others wrote, in Python, one for all tests of a run; gone with
//! the run however that ends.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::{BUCKET, Endpoint};
use crate::support::{Need, cache, root};

/// How long it may take until it listens: 2 to 20 s were seen.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// A server, ended by a shell that waits for the end of this process: a static is never dropped.
#[derive(Debug)]
pub(crate) struct Moto {
    pub(crate) endpoint: Endpoint,
    _watchdog: Child,
}

/// Where `tests/s3/prepare` put it.
fn python() -> Need<PathBuf> {
    let home = cache().join("s3");
    let list = |folder: &Path| fs::read(folder.join("requirements.txt")).ok();
    let whole = list(&home).is_some() && list(&home) == list(&root().join("tests/s3"));
    if whole { Ok(home.join("bin/python")) } else { Err("moto, an S3 server: tests/s3/prepare installs it".into()) }
}

impl Moto {
    /// The server that all tests of this run share, with its bucket, started by the first that asks.
    pub(crate) fn shared() -> Need<&'static Moto> {
        static SHARED: OnceLock<Need<Moto>> = OnceLock::new();
        SHARED.get_or_init(Moto::start).as_ref().map_err(String::clone)
    }

    #[expect(clippy::disallowed_methods, reason = "nothing tells when a port is opened, so this asks again and again")]
    fn start() -> Need<Moto> {
        let python = python()?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = Endpoint(format!("127.0.0.1:{port}"));
        // The end of its input, which comes when this process ends, is the sign to end the server.
        let script = r#""$1" -m moto.server -H 127.0.0.1 -p "$2" & cat >/dev/null; kill $!"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(python).arg(port.to_string());
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Moto { endpoint, _watchdog: shell.spawn().unwrap() };
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(&moto.endpoint.0).is_err() {
            assert!(Instant::now() < deadline, "moto does not listen after {START_DEADLINE:?}");
            thread::sleep(Duration::from_millis(50));
        }
        let (status, said) = moto.endpoint.ask("PUT", &format!("/{BUCKET}"));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
        Ok(moto)
    }
}
