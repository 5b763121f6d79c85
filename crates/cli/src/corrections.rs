//! The correction ledger as people read it: which minutes an operator's `settle` moved, by how much, why,
//! when and by which commit.

use crate::terminal;
use audience::text as words;
use audience::time::rfc3339;
use audience::{MinuteRow, Ms, Zone};
use exporter::{CorrectionRow, Table};
use report::text::{Look, Paint, draw};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::{ReadError, Stored};

/// Prints the corrections of a directory, or of one broadcast, times for people as in `zone`.
pub(crate) fn show(stored: Stored, only: Option<&str>, zone: &Zone, json: bool) -> Result<(), ReadError> {
    let stored = match only {
        Some(id) => stored.of_broadcast(id),
        None => stored,
    };
    let mut rows: Vec<CorrectionRow> = Vec::new();
    if stored.keeps(Table::Corrections) {
        stored.corrections(|batch| {
            rows.extend(batch);
            Ok(())
        })?;
    }
    let ids = stored.broadcast_ids();
    rows.sort_by(|a, b| {
        let key = |row: &CorrectionRow| (row.commit, row.minute_at);
        key(a).cmp(&key(b)).then_with(|| ids[a.broadcast as usize].cmp(&ids[b.broadcast as usize]))
    });
    if json {
        return Ok(terminal::print_json(&rows.iter().map(|row| as_json(row, &ids)).collect::<Vec<_>>())?);
    }
    Ok(terminal::print(&told(&rows, &ids, zone, terminal::look()))?)
}

fn as_json(row: &CorrectionRow, ids: &[Arc<str>]) -> Value {
    json!({
        "broadcast_id": &*ids[row.broadcast as usize],
        "minute_at": rfc3339(row.minute_at),
        "commit": row.commit,
        "corrected_at": rfc3339(row.corrected_at),
        "late_events": row.late_events,
        "late_from": row.late_span.map(|(from, _)| rfc3339(from)),
        "late_to": row.late_span.map(|(_, to)| rfc3339(to)),
        "rules_changed": row.rules_changed,
        "before": row.before.as_ref().map(side),
        "after": row.after.as_ref().map(side),
    })
}

fn side(row: &MinuteRow) -> Value {
    json!({
        "airing_at": rfc3339(row.airing_at),
        "joins": row.joins,
        "leaves": row.leaves,
        "lapses": row.lapses,
        "viewers_start": row.viewers_start,
        "viewers_end": row.viewers_end,
        "viewers_max": row.viewers_max,
        "viewers_max_at": rfc3339(row.viewers_max_at),
        "viewers_min": row.viewers_min,
        "viewer_ms": row.viewer_ms,
        "distinct_start": row.distinct.map(|people| people.start),
        "distinct_end": row.distinct.map(|people| people.end),
        "distinct_max": row.distinct.map(|people| people.max),
        "distinct_max_at": row.distinct.map(|people| rfc3339(people.max_at)),
        "distinct_min": row.distinct.map(|people| people.min),
        "distinct_ms": row.distinct.map(|people| people.ms),
        "returns": row.distinct.map(|people| people.returns),
        "new_viewers": row.new_viewers,
        "retweets": row.retweets,
        "retweet_followers": row.retweet_followers,
    })
}

/// A paragraph a correction: why, and a line a minute.
fn told(rows: &[CorrectionRow], ids: &[Arc<str>], zone: &Zone, look: Look) -> String {
    if rows.is_empty() {
        return "No settled minute was ever moved.\n".to_owned();
    }
    let mut text = String::new();
    for group in rows.chunk_by(|a, b| a.commit == b.commit) {
        let first = &group[0];
        let id = draw::cut(&draw::printable(&ids[first.broadcast as usize]), look.width.saturating_sub(36));
        let at = words::day_and_minute(zone.clock(first.corrected_at));
        text += &format!("{}  corrected {at} by commit {}\n", look.paint(&id, Paint::Bold), first.commit);
        text += &format!("{}: {} minutes moved\n", why(first, zone), words::count(group.len() as u64));
        text += &format!(
            "\n{:<16} {:>18} {:>7} {:>11} {:>7} {:>7} {:>7}\n",
            "Minute", "Peak", "People", "Watch time", "Joins", "Gone", "Reach"
        );
        for row in group {
            text += &line(row, zone);
        }
        text.push('\n');
    }
    let legend = format!(
        "Peak: the most concurrent viewers of the minute, in sessions. The other numbers are what was added or taken away; People: of the most \
         concurrent people, in viewers; watch time in s. Times {}",
        zone.name()
    );
    text + &draw::wrap(&legend, look.width).join("\n") + "\n"
}

fn why(row: &CorrectionRow, zone: &Zone) -> String {
    let late = row.late_span.map(|(from, to)| {
        let span = |at: Ms| format!("{} {}", words::day(zone.clock(at)), words::second(zone.clock(at)));
        format!(
            "{} events that had come after it settled, of {} to {}",
            words::thousands(row.late_events),
            span(from),
            span(to)
        )
    });
    let rules = row.rules_changed.then(|| "other rules".to_owned());
    let all: Vec<String> = late.into_iter().chain(rules).collect();
    if all.is_empty() { "An airing that had not settled joined it".to_owned() } else { all.join(", and ") }
}

fn line(row: &CorrectionRow, zone: &Zone) -> String {
    let of = |count: fn(&MinuteRow) -> i64| {
        let one = |side: &Option<MinuteRow>| side.as_ref().map_or(0, count);
        one(&row.after).saturating_sub(one(&row.before))
    };
    let signed = |number: i64| match number {
        0 => "·".to_owned(),
        more if more > 0 => format!("+{}", words::thousands(more)),
        less => format!("−{}", words::thousands(less.saturating_neg())),
    };
    let peak =
        |side: &Option<MinuteRow>| side.as_ref().map_or("–".to_owned(), |row| words::thousands(row.viewers_max));
    let watch = of(|row| row.viewer_ms);
    let seconds = match watch {
        0 => "·".to_owned(),
        _ if watch.abs() < 1_000 => format!("{}<1", if watch < 0 { "−" } else { "+" }),
        _ => signed(watch / 1_000),
    };
    // Version 1 of the contract did not count them.
    let knows_people = [&row.before, &row.after].into_iter().flatten().all(|side| side.distinct.is_some());
    let people =
        if knows_people { signed(of(|row| row.distinct.map_or(0, |people| people.max))) } else { "–".to_owned() };
    format!(
        "{:<16} {:>18} {:>7} {:>11} {:>7} {:>7} {:>7}\n",
        words::day_and_minute(zone.clock(row.minute_at)),
        format!("{} → {}", peak(&row.before), peak(&row.after)),
        people,
        seconds,
        signed(of(|row| row.joins)),
        signed(of(|row| row.leaves + row.lapses)),
        signed(of(|row| row.new_viewers)),
    )
}
