//! Log lines of `run`, on stderr: one a commit with the ledger, and what an operator should know. Text or JSON.

use super::writer::Written;
use crate::directory;
use crate::draw;
use crate::problem::{Awaited, Problem};
use crate::settings::LogFormat;
use crate::terminal;
use audience::time::rfc3339;
use serde_json::{Value, json};
use std::time::Duration;
use storage::Counts;

/// One line: its words, and the same for programs.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
    json: Value,
}

/// A commit.
pub(super) fn commit(counts: &Counts, written: &Written, took: Duration) -> Line {
    let n = draw::count;
    let ledger = written.ledger;
    let mut text = format!("commit {}", written.commit);
    if counts.read > 0 {
        text.push_str(&format!(": {} records", n(counts.read)));
        if counts.rejected > 0 {
            text.push_str(&format!(" ({} rejected)", n(counts.rejected)));
        }
    }
    if written.airings > 0 {
        text.push_str(&format!(": {} airings settled", n(written.airings as u64)));
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
        "commit": written.commit,
        "records": counts.read,
        "rejected": counts.rejected,
        "airings_settled": written.airings,
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "ledger": ledger,
    });
    Line { text, json }
}

/// Something an operator should know.
pub(super) fn warning(text: &str) -> Line {
    Line { text: text.to_owned(), json: json!({ "event": "warning", "message": text }) }
}

/// Something that is as it should be.
pub(super) fn info(text: &str) -> Line {
    Line { text: text.to_owned(), json: json!({ "event": "info", "message": text }) }
}

/// Something is waited for.
pub(super) fn waiting(awaited: Awaited, problem: &Problem) -> Line {
    let text = match awaited {
        Awaited::Room => "Waiting for room on the disk; nothing is lost.",
        Awaited::Store => "Waiting for the object store; nothing is lost.",
        Awaited::RejectedTopic => "Waiting for the topic of rejected records; nothing is lost.",
    };
    warning(&format!("{text} ({problem})"))
}

/// What was waited for is there.
pub(super) fn over(awaited: Awaited) -> Line {
    warning(match awaited {
        Awaited::Room => "There is room on the disk again.",
        Awaited::Store => "The object store answers again.",
        Awaited::RejectedTopic => "The topic of rejected records takes them again.",
    })
}

/// Writes a line.
pub(super) fn say(format: LogFormat, line: &Line) {
    let at = rfc3339(directory::now());
    match format {
        LogFormat::Text => terminal::say(&format!("{at} {}", line.text)),
        LogFormat::Json => {
            let mut json = line.json.clone();
            json["at"] = Value::String(at);
            terminal::say(&json.to_string());
        }
        LogFormat::Silent => {}
    }
}
