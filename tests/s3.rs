//! An S3 for tests: moto, which others wrote, and one of our own whose requests go wrong as a test asks. Both speak
//! plain HTTP on this machine.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, finish, jauge};

// A server in Python, made by `tests/s3/prepare`.
mod moto;
// A server within this process, with faults.
mod stub;

pub(crate) use moto::Moto;
pub(crate) use stub::{Fault, Stub};

/// The bucket of all tests.
pub(crate) const BUCKET: &str = "audience";

/// `127.0.0.1:PORT` of a server.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint(pub(crate) String);

impl Endpoint {
    /// Tells a command of the server, as a user would: by the environment, and by nothing else of the caller's.
    pub(crate) fn tell(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AWS_") {
                command.env_remove(name);
            }
        }
        command.env("AWS_ENDPOINT", format!("http://{}", self.0)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", "testing").env("AWS_SECRET_ACCESS_KEY", "testing");
        command.env("AWS_REGION", "us-east-1");
    }

    /// Runs `jauge` with these arguments to its end.
    pub(crate) fn jauge<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Ran {
        let mut command = jauge();
        command.args(args);
        self.tell(&mut command);
        finish(command, &[])
    }

    /// Sends a request without a body; returns status and body.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        self.send(method, path, &[])
    }

    /// Sends a request; returns status and body. Who asks must be said, and is not proved.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.0).unwrap();
        // Of HTTP 1.0 the end of the stream is the end of the body.
        let who =
            "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let head = format!("Host: {}\r\nAuthorization: {who}\r\nContent-Length: {}", self.0, body.len());
        write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    /// The keys below a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let (status, list) = self.ask("GET", &format!("/{BUCKET}?list-type=2&prefix={prefix}/"));
        let list = String::from_utf8(list).unwrap();
        assert!(status == 200 && !list.contains("<IsTruncated>true"), "{list}");
        let keys = list.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        keys.collect()
    }

    /// The bytes of an object; `None` where there is none.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        let (status, bytes) = self.ask("GET", &format!("/{BUCKET}/{}", key.replace('=', "%3D")));
        assert!(status == 200 || status == 404, "{key}: {status}");
        (status == 200).then_some(bytes)
    }

    /// Puts an object there; or, of no bytes, takes it away.
    pub(crate) fn set(&self, key: &str, bytes: Option<&[u8]>) {
        let (method, body) = bytes.map_or(("DELETE", &[][..]), |bytes| ("PUT", bytes));
        let (status, said) = self.send(method, &format!("/{BUCKET}/{}", key.replace('=', "%3D")), body);
        assert!(matches!(status, 200 | 204), "{key}: {}", String::from_utf8_lossy(&said));
    }

    /// The newest manifest of a directory, which may be written to meanwhile; `None` before the first.
    pub(crate) fn newest_manifest(&self, prefix: &str) -> Option<Value> {
        let newest = self.keys(&format!("{prefix}/commits/main")).pop()?;
        Some(serde_json::from_slice(&self.object(&newest).unwrap()).unwrap())
    }

    /// Copies all objects below a prefix to a folder.
    pub(crate) fn download(&self, prefix: &str, to: &Path) {
        for key in self.keys(prefix) {
            let bytes = self.object(&key).unwrap_or_else(|| panic!("no {key}"));
            let file = to.join(key.strip_prefix(prefix).unwrap().trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
    }
}
