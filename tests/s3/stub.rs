//! The stub: as much of S3 as a data directory asks for, in memory, each request at the mercy of a test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{BUCKET, Endpoint};

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused with this status and code of S3; not done.
    Refused(u16, &'static str),
    /// Done, and then the line is cut.
    CutAfter,
    /// The line is cut, and nothing is done.
    CutBefore,
    /// Done, and then 500: the client below us tries again by itself.
    FailsAfter,
    /// Nothing is done, and the line stays open.
    Silent,
    /// Done, and the line stays open without an answer.
    SilentAfter,
}

/// What the client asked for, before it is done: method, path with query as sent, and body.
type Forecast = dyn FnMut(&str, &str, &[u8]) -> Option<Fault> + Send;

/// A server, for as long as the test process lives.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) endpoint: Endpoint,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    objects: BTreeMap<String, Vec<u8>>,
    /// Pieces by number, by upload.
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    forecast: Option<Box<Forecast>>,
    /// Faults that struck.
    struck: usize,
    /// How long the way of each request is, there and back.
    latency: Duration,
    requests: usize,
}

struct Request {
    method: String,
    /// Whether the line stays open for another: not of HTTP 1.0.
    keeps: bool,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Stub {
    /// A server with an empty bucket.
    pub(crate) fn start() -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint(listener.local_addr().unwrap().to_string());
        let stub = Stub { endpoint, world: Arc::default() };
        let server = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                thread::spawn(move || server.serve(&stream));
            }
        });
        stub
    }

    /// From here on requests go wrong as `forecast` says of their method and target.
    pub(crate) fn turns(&self, mut forecast: impl FnMut(&str, &str) -> Option<Fault> + Send + 'static) {
        self.turns_by_body(move |method, target, _| forecast(method, target));
    }

    /// From here on requests go wrong as `forecast` says of their method, target and body.
    pub(crate) fn turns_by_body(&self, forecast: impl FnMut(&str, &str, &[u8]) -> Option<Fault> + Send + 'static) {
        let mut world = self.world();
        world.forecast = Some(Box::new(forecast));
        world.struck = 0;
    }

    /// Faults that struck since [`Stub::turns`].
    pub(crate) fn struck(&self) -> usize {
        self.world().struck
    }

    /// From here on each request is so long on its way; their count begins anew.
    pub(crate) fn is_far(&self, latency: Duration) {
        let mut world = self.world();
        (world.latency, world.requests) = (latency, 0);
    }

    /// Requests since [`Stub::is_far`].
    pub(crate) fn requests(&self) -> usize {
        self.world().requests
    }

    /// Uploads that were begun and are neither complete nor aborted.
    pub(crate) fn open_uploads(&self) -> usize {
        self.world().uploads.len()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let request = read_request(&mut reader)?;
            let latency = self.world().latency;
            wait(latency);
            let answer = {
                let mut world = self.world();
                world.requests += 1;
                let fault =
                    world.forecast.as_mut().and_then(|sky| sky(&request.method, &request.target, &request.body));
                world.struck += usize::from(fault.is_some());
                match fault {
                    None => world.done(&request),
                    Some(Fault::Refused(status, code)) => refusal(status, code),
                    Some(Fault::CutBefore) => return None,
                    Some(fault @ (Fault::Silent | Fault::SilentAfter)) => {
                        if fault == Fault::SilentAfter {
                            world.done(&request);
                        }
                        drop(world);
                        // Until the client hangs up.
                        let _ = reader.read(&mut [0]);
                        return None;
                    }
                    Some(Fault::CutAfter) => {
                        world.done(&request);
                        return None;
                    }
                    Some(Fault::FailsAfter) => {
                        world.done(&request);
                        refusal(500, "InternalError")
                    }
                }
            };
            send(stream, &request, &answer)?;
            if !request.keeps {
                return None;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that a request is on its way is told by the clock alone")]
fn wait(latency: Duration) {
    thread::sleep(latency);
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target, keeps) = (words.next()?.to_owned(), words.next()?.to_owned(), words.next()? != "HTTP/1.0");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, keeps, target, headers, body })
}

fn send(mut stream: &TcpStream, request: &Request, answer: &Answer) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    if !answer.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut whole = (head + "\r\n").into_bytes();
    if request.method != "HEAD" {
        whole.extend_from_slice(&answer.body);
    }
    // In one piece: the rest of two would wait for a sign that the first has come.
    stream.write_all(&whole).ok()?;
    stream.flush().ok()
}

fn of(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into() }
}

fn refusal(status: u16, code: &str) -> Answer {
    of(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

/// `%3D` and the like.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl World {
    fn done(&mut self, request: &Request) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: BTreeMap<String, String> = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (plain(name), plain(&value.replace('+', " "))))
            .collect();
        let path = plain(path);
        let (bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        if bucket != BUCKET {
            return refusal(404, "NoSuchBucket");
        }
        let upload = query.get("uploadId");
        match (request.method.as_str(), upload) {
            ("PUT", Some(upload)) => self.put_piece(upload, &query["partNumber"], &request.body),
            ("PUT", None) => self.put(key, request),
            ("POST", Some(upload)) => self.complete(key, upload),
            ("POST", None) if query.contains_key("delete") => self.delete(&request.body),
            ("POST", None) => self.begin_upload(key),
            ("DELETE", Some(upload)) => {
                self.uploads.remove(upload);
                of(204, "")
            }
            ("DELETE", None) => {
                self.objects.remove(key);
                of(204, "")
            }
            ("GET", _) if key.is_empty() => self.list(&query),
            ("GET" | "HEAD", _) => self.get(key, request),
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, key: &str, request: &Request) -> Answer {
        // S3's condition, and Google's.
        let if_absent = request.headers.contains_key("if-none-match")
            || request.headers.get("x-goog-if-generation-match").is_some_and(|generation| generation == "0");
        if if_absent && self.objects.contains_key(key) {
            return refusal(412, "PreconditionFailed");
        }
        self.objects.insert(key.to_owned(), request.body.clone());
        Answer { headers: vec![("ETag", "\"1\"".to_owned())], ..of(200, "") }
    }

    fn begin_upload(&mut self, key: &str) -> Answer {
        let upload = format!("{key}#{}", self.uploads.len()).replace('/', "-").replace(['=', '#'], "_");
        self.uploads.insert(upload.clone(), BTreeMap::new());
        let what = "InitiateMultipartUploadResult";
        of(200, format!("<{what}><Bucket>b</Bucket><Key>{key}</Key><UploadId>{upload}</UploadId></{what}>"))
    }

    fn put_piece(&mut self, upload: &str, number: &str, body: &[u8]) -> Answer {
        let Some(pieces) = self.uploads.get_mut(upload) else { return refusal(404, "NoSuchUpload") };
        pieces.insert(number.parse().unwrap(), body.to_vec());
        Answer { headers: vec![("ETag", format!("\"{number}\""))], ..of(200, "") }
    }

    fn complete(&mut self, key: &str, upload: &str) -> Answer {
        let Some(pieces) = self.uploads.remove(upload) else { return refusal(404, "NoSuchUpload") };
        self.objects.insert(key.to_owned(), pieces.into_values().flatten().collect());
        let what = "CompleteMultipartUploadResult";
        of(200, format!("<{what}><Bucket>b</Bucket><Key>{key}</Key><ETag>\"1\"</ETag></{what}>"))
    }

    fn delete(&mut self, body: &[u8]) -> Answer {
        let body = String::from_utf8_lossy(body).into_owned();
        let mut deleted = String::new();
        for key in body.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap()) {
            self.objects.remove(key);
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        of(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn get(&self, key: &str, request: &Request) -> Answer {
        let Some(bytes) = self.objects.get(key) else { return refusal(404, "NoSuchKey") };
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (status, bytes, place) = match range {
            Some((from, to)) => {
                let from: usize = from.parse().unwrap();
                let to = (to.parse::<usize>().unwrap() + 1).min(bytes.len());
                let place = format!("bytes {from}-{}/{}", to - 1, bytes.len());
                (206, &bytes[from..to], Some(place))
            }
            None => (200, &bytes[..], None),
        };
        let mut headers = vec![("Last-Modified", LONG_AGO_HTTP.to_owned()), ("ETag", "\"1\"".to_owned())];
        headers.push(("Content-Length", bytes.len().to_string()));
        headers.extend(place.map(|place| ("Content-Range", place)));
        Answer { headers, ..of(status, bytes) }
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let delimiter = query.get("delimiter").filter(|delimiter| !delimiter.is_empty());
        let (mut list, mut folders) = (String::new(), std::collections::BTreeSet::new());
        let after = query.get("start-after").map_or("", String::as_str);
        let is_asked = |key: &str| key.starts_with(prefix) && key > after;
        for (key, bytes) in self.objects.iter().filter(|(key, _)| is_asked(key)) {
            let rest = &key[prefix.len()..];
            match delimiter.and_then(|delimiter| rest.find(delimiter.as_str())) {
                Some(at) => drop(folders.insert(&key[..=prefix.len() + at])),
                None => {
                    let size = bytes.len();
                    list += &format!(
                        "<Contents><Key>{key}</Key><LastModified>{LONG_AGO}</LastModified><ETag>\"1\"</ETag><Size>{size}</Size></Contents>"
                    );
                }
            }
        }
        for folder in folders {
            list += &format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
        }
        of(200, format!("<ListBucketResult><IsTruncated>false</IsTruncated>{list}</ListBucketResult>"))
    }
}

const LONG_AGO: &str = "2016-04-03T19:00:00.000Z";
const LONG_AGO_HTTP: &str = "Sun, 03 Apr 2016 19:00:00 GMT";
