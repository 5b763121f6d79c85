//! `jauge verify`: what the verifier found in a data directory, in words or as JSON.

use crate::args::VerifyArgs;
use crate::terminal;
use audience::text as words;
use problem::Problem;
use report::text::{Look, draw};
use storage::Ledger;
use verifier::Verified;

/// `jauge verify`
pub(crate) fn command(args: &VerifyArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let verified = verifier::verify(&args.dir, settings.memory_bytes, settings.lanes)?;
    if args.json {
        terminal::print_json(&as_json(&verified))
    } else {
        terminal::print(&told(&verified, terminal::look()))
    }
}

fn as_json(verified: &Verified) -> serde_json::Value {
    serde_json::json!({
        "ok": true,
        "commits": verified.chain.commits,
        "files": verified.chain.files,
        "bytes": verified.chain.bytes,
        "rows": verified.chain.rows,
        "ledger": verified.ledger,
        "airings": verified.airings,
        "corrections": verified.corrections,
        "live_minutes": verified.live_minutes,
        "events_settled_again": verified.events,
        "notes": verified.notes,
    })
}

/// For people: a paragraph a subject.
pub(crate) fn told(verified: &Verified, look: Look) -> String {
    let n = words::count;
    let Ledger { read, rejected, applied, repeated, orphaned, after_settle, not_yet_settled, .. } = verified.ledger;
    let rows: Vec<String> = verified.chain.rows.iter().map(|(table, rows)| format!("{table} {}", n(*rows))).collect();
    let again = match verified.events {
        Some(events) => {
            format!("equal to what the {} events of the log give, and every offset is there once", n(events))
        }
        None => "equal to each other".to_owned(),
    };
    let chain = format!(
        "{} commits, {} files, {} bytes: every checksum holds",
        n(verified.chain.commits),
        n(verified.chain.files),
        n(verified.chain.bytes)
    );
    let ledger = format!(
        "{} read = {} rejected + {} applied + {} repeated + {} orphaned + {} after settle + {} not yet settled",
        n(read),
        n(rejected),
        n(applied),
        n(repeated),
        n(orphaned),
        n(after_settle),
        n(not_yet_settled)
    );
    let mut subjects = vec![
        ("chain", chain),
        ("rows", rows.join(" · ")),
        ("ledger", ledger),
        ("settled", format!("{} airings, {again}", n(verified.airings))),
    ];
    if verified.corrections > 0 {
        let text = format!("{} minutes moved, each from what it was to what it is", n(verified.corrections));
        subjects.push(("corrected", text));
    }
    if verified.live_minutes > 0 {
        subjects.push(("live", format!("{} minutes, none at odds with its neighbours", n(verified.live_minutes))));
    }
    subjects.extend(verified.notes.iter().map(|note| ("note", note.clone())));
    subjects.push(("verified", "all of it holds".to_owned()));
    let paragraph = |(subject, text): (&str, String)| {
        let lines = draw::wrap(&text, look.width.saturating_sub(10));
        let heads = std::iter::once(subject).chain(std::iter::repeat(""));
        heads.zip(lines).map(|(head, line)| format!("{head:<9} {line}\n")).collect::<String>()
    };
    subjects.into_iter().map(paragraph).collect()
}
