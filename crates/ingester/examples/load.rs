//! The load: puts the lines of a file into a topic, one record a line, keyed by session so that a session lies in one
//! partition. It makes the input of `benches/run`; what producing costs is not measured.

#![expect(clippy::print_stdout, reason = "it is a program, and this is its result")]

use ingester::producer::{Producer, Target, create_topic};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Duration;

const ANSWER: Duration = Duration::from_secs(60);
/// How long the broker may take to acknowledge what the client still holds.
const FLUSH: Duration = Duration::from_secs(300);
/// What a line is keyed by: the first of these that it has.
const KEYS: [&[u8]; 3] = [b"\"session_id\":\"", b"\"viewer_id\":\"", b"\"tweet_id\":\""];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, partitions, compression, file, limit] = args.as_slice() else {
        return Err("usage: load HOST:PORT TOPIC PARTITIONS none|lz4|zstd FILE LINES".into());
    };
    let limit: u64 = limit.parse()?;
    if !create_topic(brokers, &[], topic, partitions.parse()?, &[], ANSWER)? {
        return Err(format!("{topic} is there already: the load would be counted twice").into());
    }
    let producer = Producer::connect(brokers, &[("compression.type".to_owned(), compression.clone())])?;
    let mut lines = BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut line = Vec::new();
    while producer.sent() < limit && lines.read_until(b'\n', &mut line)? > 0 {
        let value = line.trim_ascii_end();
        producer.send(topic, Target::Key(key_of(value)), Some(value), None)?;
        line.clear();
    }
    producer.flush(FLUSH)?;
    println!("{} records", producer.delivered());
    Ok(())
}

fn key_of(line: &[u8]) -> &[u8] {
    KEYS.iter()
        .find_map(|key| {
            let start = memchr::memmem::find(line, key)? + key.len();
            let end = memchr::memchr(b'"', &line[start..])?;
            Some(&line[start..start + end])
        })
        .unwrap_or(line)
}
