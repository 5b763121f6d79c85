//! Log lines of `run`, on stderr: one a commit with the ledger, and what an operator should know. Text or JSON.

use crate::settings::LogFormat;
use crate::terminal;
use audience::text;
use audience::time::rfc3339;
use pipeline::{Said, Tell};
use problem::Awaited;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use storage::directory;
use storage::{Counts, Ledger};

/// Who writes what a run says as log lines.
pub(crate) fn teller(format: LogFormat) -> Tell {
    Arc::new(move |said| {
        if let Some(line) = LogLine::of(&said) {
            line.write(format);
        }
    })
}

/// One line: its words, and the same for programs.
#[derive(Clone, Debug)]
struct LogLine {
    text: String,
    json: Value,
}

impl LogLine {
    /// `None` for what is no matter of a log.
    fn of(said: &Said) -> Option<LogLine> {
        match said {
            Said::Commit { number, counts, ledger, airings, took } => {
                Some(commit(*number, counts, *ledger, *airings as u64, *took))
            }
            Said::Info(text) => Some(told("info", text)),
            Said::Warning(text) => Some(told("warning", text)),
            Said::Waiting(awaited, why) => Some(told("warning", &format!("{} ({why})", waiting(*awaited)))),
            Said::Over(awaited) => Some(told("warning", over(*awaited))),
            Said::Read { .. } | Said::Now(_) => None,
        }
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
