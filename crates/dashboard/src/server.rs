//! The server: one thread that answers over HTTP from the status told last.

use crate::{metrics::Metrics, status::Status};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Json, Response},
    routing::get,
};
use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Instant};
use tokio::sync::watch;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; give another address with --listen, as in 127.0.0.1:9464, or leave it out"
)]
pub struct ListenError {
    /// As it was given.
    pub address: String,
    /// Why not.
    pub source: io::Error,
}

impl ListenError {
    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        3
    }
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropped first, which ends the thread.
    told: Option<watch::Sender<Status>>,
    metrics: Arc<Metrics>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Shared {
    told: watch::Receiver<Status>,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Listens on `address`, `HOST:PORT`, and answers from `status` until another is told.
    ///
    /// # Errors
    /// [`ListenError`]: no such address, or it is taken.
    pub fn start(address: &str, status: Status) -> Result<Server, ListenError> {
        let refused = |source| ListenError { address: address.to_owned(), source };
        let listener = std::net::TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(refused)?;
        let (told, seen) = watch::channel(status);
        let metrics = Arc::new(Metrics::default());
        let mut end = seen.clone();
        let shared = Shared { told: seen, metrics: Arc::clone(&metrics) };
        let serve = move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                // A task of its own: who is being answered at the end is cut off, for a run that stops waits for no
                // slow reader.
                tokio::spawn(axum::serve(listener, routes(shared)).into_future());
                while end.changed().await.is_ok() {}
            });
        };
        let thread = std::thread::Builder::new().name("dashboard".to_owned()).spawn(serve).map_err(refused)?;
        Ok(Server { address: bound, told: Some(told), metrics, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers from `status`. Never waits.
    pub fn tell(&self, status: Status) {
        let Some(told) = &self.told else { return };
        if status.commit.number > told.borrow().commit.number {
            self.metrics.commit_took(status.commit.took);
        }
        told.send_replace(status);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.told = None;
        if let Some(thread) = self.thread.take() {
            // It has no result, and its panic, if it had one, was said.
            let _ = thread.join();
        }
    }
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

async fn live(State(shared): State<Shared>) -> Response {
    answer(shared.told.borrow().not_alive(Instant::now()).as_slice())
}

async fn ready(State(shared): State<Shared>) -> Response {
    answer(&shared.told.borrow().not_ready(Instant::now()))
}

fn answer(why_not: &[String]) -> Response {
    if why_not.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, why_not.join("\n") + "\n").into_response()
}

async fn status(State(shared): State<Shared>) -> Response {
    Json(&*shared.told.borrow()).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    const FORM: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = shared.metrics.text(&shared.told.borrow(), Instant::now());
    ([(header::CONTENT_TYPE, FORM)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Phase, tests::status as sample};
    use std::io::{Read, Write};

    /// The answer to a GET: its status and its body.
    fn get(server: &Server, path: &str) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    #[test]
    fn it_answers_from_what_was_told_last() {
        let server = Server::start("127.0.0.1:0", Status { phase: Phase::Starting, ..sample(Instant::now()) }).unwrap();
        assert_eq!(get(&server, "/livez"), (200, "ok\n".to_owned()));
        assert_eq!(get(&server, "/readyz"), (503, "it is starting\n".to_owned()));
        server.tell(sample(Instant::now()));
        assert_eq!(get(&server, "/readyz"), (200, "ok\n".to_owned()));
        let (code, said) = get(&server, "/status");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &said["phase"], &said["commit"]["number"]), (200, &"running".into(), &7.into()));
        assert_eq!((&said["partitions"][0]["topic"], &said["commit"]["took_ms"]), (&"audience".into(), &150.into()));
        assert_eq!(get(&server, "/nothing").0, 404);
    }

    #[test]
    fn it_ends_when_it_is_dropped_and_its_address_is_free_again() {
        let server = Server::start("127.0.0.1:0", sample(Instant::now())).unwrap();
        let address = server.address();
        let error = Server::start(&address.to_string(), sample(Instant::now())).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()) && error.exit_code() == 3, "{error}");
        // A reader that sends nothing does not hold it.
        let _reader = std::net::TcpStream::connect(address).unwrap();
        drop(server);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
