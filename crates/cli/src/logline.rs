//! Log lines of `run`, on stderr: one a commit with the ledger, and what an operator should know. Text or JSON.

use crate::orphans;
use crate::settings::LogFormat;
use crate::terminal;
use audience::text;
use audience::time::rfc3339;
use pipeline::{Beginning, Said, Tell};
use problem::Awaited;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use storage::directory;
use storage::{Counts, Ledger};

/// So many partitions of a topic are named one by one.
const NAMED: usize = 8;
const AT_END: &str =
    "Everything is read, up to where the topics ended at the start: the data end here, and all of it settles.";
const STOPPING: &str = "A signal asks for the end: what was read is committed.";

/// Who writes what a run says as log lines.
pub(crate) fn teller(format: LogFormat) -> Tell {
    Arc::new(move |said| LogLine::of(&said).into_iter().for_each(|line| line.write(format)))
}

/// One line: its words, and the same for programs.
#[derive(Clone, Debug)]
struct LogLine {
    text: String,
    json: Value,
}

impl LogLine {
    /// None for what is no matter of a log.
    fn of(said: &Said) -> Vec<LogLine> {
        let line = match said {
            Said::Commit { number, counts, ledger, airings, took } => {
                Some(commit(*number, counts, *ledger, *airings as u64, *took))
            }
            Said::Reading { topic, partitions } => Some(reading(topic, partitions)),
            Said::AtEnd => Some(told("at_end", AT_END)),
            Said::Stopping => Some(told("stopping", STOPPING)),
            Said::Info(text) => Some(told("info", text)),
            Said::Warning(text) => Some(told("warning", text)),
            Said::Waiting(awaited, why) => Some(told("warning", &format!("{} ({why})", waiting(*awaited)))),
            Said::Over(awaited) => Some(told("warning", over(*awaited))),
            Said::Orphans { tally, broadcast_idle } => {
                return orphans::told(tally, *broadcast_idle).iter().map(|text| told("warning", text)).collect();
            }
            Said::Read { .. } | Said::Now(_) => None,
        };
        line.into_iter().collect()
    }

    fn write(self, format: LogFormat) {
        let at = rfc3339(directory::now());
        match format {
            LogFormat::Text => terminal::say(&format!("{at} {}", self.text)),
            LogFormat::Json => {
                let mut json = self.json;
                json["at"] = Value::String(at);
                terminal::say(&json.to_string());
            }
        }
    }
}

/// A commit, with which so many airings settled.
fn commit(number: u64, counts: &Counts, ledger: Ledger, airings: u64, took: Duration) -> LogLine {
    let n = text::count;
    let mut text = format!("commit {number}");
    if counts.read > 0 {
        text.push_str(&format!(": {} records", n(counts.read)));
        if counts.rejected > 0 {
            text.push_str(&format!(" ({} rejected)", n(counts.rejected)));
        }
    }
    if airings > 0 {
        text.push_str(&format!(": {} airings settled", n(airings)));
    }
    text.push_str(&format!(
        ", {} ms · ledger: {} read = {} rejected + {} applied + {} repeated + {} orphaned + {} after settle + {} not yet settled",
        took.as_millis(),
        n(ledger.read),
        n(ledger.rejected),
        n(ledger.applied),
        n(ledger.repeated),
        n(ledger.orphaned),
        n(ledger.after_settle),
        n(ledger.not_yet_settled),
    ));
    let json = json!({
        "event": "commit",
        "commit": number,
        "records": counts.read,
        "rejected": counts.rejected,
        "airings_settled": airings,
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "ledger": ledger,
    });
    LogLine { text, json }
}

/// A topic is read.
fn reading(topic: &str, partitions: &[Beginning]) -> LogLine {
    let whence = match partitions.iter().filter(|one| one.is_new).count() {
        0 => " on from the last commit",
        new if new == partitions.len() => " from its beginning",
        _ => "",
    };
    let n = |offset: i64| text::thousands(offset);
    let name = |one: &Beginning| format!("{} from offset {} of {}", one.partition, n(one.from), n(one.to));
    let mut named: Vec<String> = partitions.iter().take(NAMED).map(name).collect();
    let (count, more) = (partitions.len(), partitions.len().saturating_sub(NAMED));
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    let waiting: i64 = partitions.iter().map(|one| one.to - one.from).sum();
    let what = match waiting {
        0 => "Nothing is there to be read yet.".to_owned(),
        1 => "1 record is there to be read.".to_owned(),
        more => format!("{} records are there to be read.", n(more)),
    };
    let plural = if count == 1 { "" } else { "s" };
    let text = format!("Reading {topic}{whence}, {count} partition{plural}: {}. {what}", named.join(", "));
    let json =
        |one: &Beginning| json!({ "partition": one.partition, "from": one.from, "to": one.to, "new": one.is_new });
    let partitions: Vec<Value> = partitions.iter().map(json).collect();
    LogLine { json: json!({ "event": "reading", "topic": topic, "partitions": partitions, "message": text }), text }
}

/// What a person reads as it is said.
fn told(event: &str, text: &str) -> LogLine {
    LogLine { text: text.to_owned(), json: json!({ "event": event, "message": text }) }
}

/// Something is waited for.
fn waiting(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Room => "Waiting for room on the disk; nothing is lost.",
        Awaited::Store => "Waiting for the object store; nothing is lost.",
        Awaited::RejectedTopic => "Waiting for the topic of rejected records; nothing is lost.",
        Awaited::Clock => "Waiting for our clock to be right; nothing is lost.",
    }
}

/// What was waited for is there.
fn over(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Room => "There is room on the disk again.",
        Awaited::Store => "The object store answers again.",
        Awaited::RejectedTopic => "The topic of rejected records takes them again.",
        Awaited::Clock => "Our clock and the records agree.",
    }
}
