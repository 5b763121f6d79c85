//! An Azure Blob Storage for tests: Azurite, which others wrote, in JavaScript, one for all tests of a run; gone with
//! the run however that ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::support::{Need, cache, finish, program, root};

/// The container of all tests.
pub(crate) const CONTAINER: &str = "audience";

/// A server, ended by a shell that waits for the end of this process: a static is never dropped.
#[derive(Debug)]
pub(crate) struct Azurite {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    _watchdog: Child,
}

/// Where `tests/azure/prepare` put it.
fn server() -> Need<PathBuf> {
    let home = cache().join("azure");
    let (list, whole) = (fs::read(root().join("tests/azure/package.json")), fs::read(home.join("whole.json")));
    let is_whole = whole.is_ok_and(|whole| whole == list.unwrap());
    let server = home.join("node_modules/azurite/dist/src/blob/main.js");
    if is_whole { Ok(server) } else { Err("Azurite, an Azure Blob Storage: tests/azure/prepare installs it".into()) }
}

impl Azurite {
    /// The server that all tests of this run share, with its container, started by the first that asks.
    pub(crate) fn shared() -> Need<&'static Azurite> {
        static SHARED: OnceLock<Need<Azurite>> = OnceLock::new();
        SHARED.get_or_init(Azurite::start).as_ref().map_err(String::clone)
    }

    fn start() -> Need<Azurite> {
        let (node, server) = (program("node")?, server()?);
        // The end of its input, which comes when this process ends, is the sign to end the server.
        let script =
            r#""$1" "$2" --inMemoryPersistence --disableTelemetry --silent --blobPort 0 & cat >/dev/null; kill $!"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).args([&node, &server]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut watchdog = shell.spawn().unwrap();
        let mut said = BufReader::new(watchdog.stdout.take().unwrap()).lines().map_while(Result::ok);
        let listens = said.find_map(|line| line.split_once("successfully listens on ").map(|(_, url)| url.to_owned()));
        let url = listens.unwrap_or_else(|| panic!("Azurite ends before it listens"));
        let mut container = Command::new(node);
        let port = url.rsplit(':').next().unwrap();
        container.arg(root().join("tests/azure/container.js")).args([port, CONTAINER]);
        finish(container, &[]).exits(0);
        Ok(Azurite { url, _watchdog: watchdog })
    }
}
