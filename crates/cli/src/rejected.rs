//! `jauge rejected`: which events could not be used, why, and an example of each; their bytes to correct; and the way
//! back into a topic for what can be used now.

use crate::args::RejectedArgs;
use crate::hints;
use crate::settings::Settings;
use crate::terminal;
use audience::text;
use audience::{Decoder, Details, Field, Guise, Key, Ms, Reason, Registry, Rejection, flaw, time::rfc3339};
use exporter::{RejectedRow, Table};
use ingester::files::BYTE_ORDER_MARK;
use ingester::producer::{Producer, Target};
use problem::Problem;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::Stored;
use storage::directory;

/// How long the brokers may take for all that was sent.
const FLUSH: Duration = Duration::from_secs(60);

/// `jauge rejected`
pub(crate) fn command(args: &RejectedArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    match (&args.send_to, args.payloads) {
        (Some(topic), _) => send(args, &settings, topic),
        (None, true) => payloads(&open(&args.dir)?),
        (None, false) => list(&open(&args.dir)?, args.json),
    }
}

fn open(dir: &Path) -> Result<Stored, Problem> {
    let stored = Stored::open(dir)?;
    if stored.keeps(Table::Rejected) {
        return Ok(stored);
    }
    Err(Problem::world(format!("{} was made without the table rejected, so nobody knows what was.", dir.display())))
}

/// The rejected events of one reason and field.
#[derive(Debug)]
struct Group {
    count: u64,
    first_at: Ms,
    last_at: Ms,
    /// The newest of these events: what is still sent today.
    example: RejectedRow,
}

fn list(stored: &Stored, is_json: bool) -> Result<(), Problem> {
    let mut groups = BTreeMap::<Rejection, Group>::new();
    stored.rejected(|rows| {
        for row in rows {
            let at = row.received_at;
            let group = groups.entry(row.rejection).or_insert_with(|| Group {
                count: 0,
                first_at: at,
                last_at: at,
                example: row.clone(),
            });
            group.count += 1;
            group.first_at = group.first_at.min(at);
            group.last_at = group.last_at.max(at);
            if (at, row.offset) >= (group.example.received_at, group.example.offset) {
                group.example = row;
            }
        }
        Ok(())
    })?;
    let mut groups: Vec<(Rejection, Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(rejection, group)| (std::cmp::Reverse(group.count), *rejection));
    let dropped = stored.too_old(Table::Rejected)?;
    if let Some((rows, last_at)) = dropped {
        let (rows, last_at) = (text::count(rows), rfc3339(last_at));
        terminal::say(&format!("{rows} more were dropped for their age (rejected_keep), the last at {last_at}."));
    }
    if is_json {
        let groups: Vec<Value> = groups.iter().map(|(rejection, group)| as_json(*rejection, group)).collect();
        return terminal::print_json(&groups);
    }
    if groups.is_empty() && dropped.is_none() {
        return terminal::print("Nothing was rejected.\n");
    }
    let mut text = String::new();
    for (rejection, group) in &groups {
        text.push_str(&as_text(*rejection, group));
    }
    terminal::print(&text)
}

fn as_text(rejection: Rejection, group: &Group) -> String {
    let RejectedRow { source, partition, offset, payload, payload_bytes, .. } = &group.example;
    let count = text::count(group.count);
    let example = payload.as_ref().map_or_else(
        || "its bytes were not kept (rejected_payload = \"redact\")".to_owned(),
        |bytes| hints::example(bytes),
    );
    let hint = hint(rejection, group).map_or_else(String::new, |hint| format!("{:>12}  {hint}\n", ""));
    format!(
        "{count:>12}  {rejection}\n{:>12}  from {} to {}\n{:>12}  {source}/{partition} at {offset}, {} bytes: {example}\n{hint}\n",
        "",
        rfc3339(group.first_at),
        rfc3339(group.last_at),
        "",
        text::thousands(*payload_bytes),
    )
}

/// What can be said of the example.
fn hint(rejection: Rejection, group: &Group) -> Option<String> {
    let payload = group.example.payload.as_deref()?;
    hints::sentence(flaw(rejection, payload).as_deref(), Guise::of(payload).as_ref(), "FILE")
}

fn as_json(rejection: Rejection, group: &Group) -> Value {
    let RejectedRow { source, partition, offset, payload, payload_bytes, .. } = &group.example;
    json!({
        "reason": rejection.reason.word(),
        "field": rejection.field.word(),
        "count": group.count,
        "first_at": rfc3339(group.first_at),
        "last_at": rfc3339(group.last_at),
        "hint": hint(rejection, group),
        "example": {
            "source": **source,
            "partition": partition,
            "offset": offset,
            "payload": payload.as_ref().map(|bytes| String::from_utf8_lossy(bytes)),
            "payload_bytes": payload_bytes,
        },
    })
}

/// The bytes of a row as a line, or why they cannot be one.
fn line_of(row: &RejectedRow) -> Result<Vec<u8>, &'static str> {
    let bytes = row.payload.as_ref().ok_or("were not kept")?;
    if usize::try_from(row.payload_bytes) != Ok(bytes.len()) {
        return Err("were kept in part");
    }
    // Between the parts of a JSON text a line feed is a space, and inside a string there is none.
    Ok(bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect())
}

fn payloads(stored: &Stored) -> Result<(), Problem> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut left_out = BTreeMap::<&str, u64>::new();
    stored.rejected(|rows| {
        for row in &rows {
            match line_of(row) {
                Ok(mut line) => {
                    line.push(b'\n');
                    out.write_all(&line).map_err(|error| terminal::refused(&error))?;
                }
                Err(why) => *left_out.entry(why).or_default() += 1,
            }
        }
        Ok(())
    })?;
    out.flush().map_err(|error| terminal::refused(&error))?;
    for (why, count) in left_out {
        terminal::say(&format!("{count} are left out: their bytes {why}."));
    }
    Ok(())
}

/// What can be used now goes to a topic. An event that is there already changes nothing: it says again what is known.
struct Sender<'a> {
    producer: Producer,
    topic: &'a str,
    decoder: Decoder,
    latest: Ms,
    sent: u64,
    refused: BTreeMap<Rejection, u64>,
}

impl Sender<'_> {
    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        let decoded = self.decoder.decode(line, &mut Details::new());
        let is_soon = |ts: Ms| ts <= self.latest;
        let refusal = match decoded {
            Ok(event) if is_soon(event.ts()) => None,
            Ok(_) => Some(Rejection::of(Reason::FromTheFuture, Field::Ts)),
            Err(rejection) => Some(rejection),
        };
        if let Some(refusal) = refusal {
            *self.refused.entry(refusal).or_default() += 1;
            return Ok(());
        }
        self.producer.send(self.topic, Target::Key(key_of(line).as_bytes()), Some(line), None)?;
        self.sent += 1;
        Ok(())
    }
}

/// The key that the contract asks of producers: the viewer, so that all events of one lie in one partition. What has no
/// viewer goes by its broadcast.
fn key_of(line: &[u8]) -> String {
    #[derive(Default, serde::Deserialize)]
    struct Ids {
        viewer_id: Option<Value>,
        broadcast_id: Option<Value>,
    }
    let ids: Ids = serde_json::from_slice(line).unwrap_or_default();
    match ids.viewer_id.or(ids.broadcast_id) {
        Some(Value::String(id)) => id,
        Some(id) => id.to_string(),
        None => String::new(),
    }
}

fn send(args: &RejectedArgs, settings: &Settings, topic: &str) -> Result<(), Problem> {
    let registry = Registry::new(|| Key([0; 16]));
    let mut sender = Sender {
        producer: Producer::to_topics(&settings.kafka_options(&[topic])?)?,
        topic,
        decoder: Decoder::new(Arc::new(registry)),
        latest: directory::now().saturating_add(settings.future_max_ms),
        sent: 0,
        refused: BTreeMap::new(),
    };
    match &args.from {
        Some(path) => each_line(path, |line| sender.take(line))?,
        None => open(&args.dir)?
            .rejected(|rows| rows.iter().filter_map(|row| line_of(row).ok()).try_for_each(|line| sender.take(&line)))?,
    }
    sender.producer.flush(FLUSH)?;
    terminal::print(&format!("{} events were sent to {topic}.\n", sender.sent))?;
    for (rejection, count) in &sender.refused {
        terminal::say(&format!("{count} cannot be used: {rejection}."));
    }
    Ok(())
}

/// Gives `take` each line of a file, or of stdin, that is not blank. The first begins behind the byte order mark that
/// some editors write, as it does for a replay: a record would not be read with it.
fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
    let refused = |error: std::io::Error| Problem::world(format!("{} cannot be read: {error}.", path.display()));
    let mut lines: Box<dyn BufRead> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(path).map_err(refused)?)),
    };
    let (mut line, mut is_first) = (Vec::new(), true);
    while lines.read_until(b'\n', &mut line).map_err(refused)? > 0 {
        let mut text = line.strip_suffix(b"\n").unwrap_or(&line);
        if std::mem::take(&mut is_first) {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        if !audience::is_blank(text) {
            take(text)?;
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_viewer_as_written_or_the_broadcast() {
        for (line, key) in [
            (r#"{"broadcast_id":"b","viewer_id":"v"}"#, "v"),
            (r#"{"broadcast_id":"b","viewer_id":42}"#, "42"),
            (r#"{"type":"end","broadcast_id":"b"}"#, "b"),
        ] {
            assert_eq!(key_of(line.as_bytes()), key);
        }
    }
}
