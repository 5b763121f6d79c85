//! Gaps against everything else: the event times that the commits tell of both sides of a gap are those of its
//! neighbours in `events`, told by the commits that read them; and the live minutes within a gap, and no others before
//! it, are not complete, nor are those of airings that may have begun in a lost beginning.

use super::history::{History, Since};
use audience::time::{minute_of, rfc3339};
use audience::{MinuteRow, Ms};
use exporter::LoggedEvent;
use problem::Problem;
use std::collections::BTreeMap;
use storage::{FileEntry, Lost, Stored};

/// The gaps that are beginnings, or the others, with their places. `None` where there are none.
pub(super) fn told(lost: &[Lost], are_beginnings: bool) -> Option<Vec<String>> {
    let of_them = lost.iter().filter(|one| one.gap.beginning == are_beginnings);
    let place = |one: &Lost| format!("{}/{} [{}, {})", one.topic, one.partition, one.gap.from, one.gap.to);
    Some(of_them.map(place).collect()).filter(|gaps: &Vec<String>| !gaps.is_empty())
}

/// The events beside one gap, in order of their offsets.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    /// Offset and `ts`.
    before: Option<(i64, Ms)>,
    /// Offset, `ts`, and the commit that read it.
    after: Option<(i64, Ms, i64)>,
}

/// The events beside all gaps, as the log has them.
#[derive(Debug)]
pub(super) struct Neighbours<'a> {
    history: &'a History,
    /// By numbers of source and partition: the numbers of its gaps.
    of: BTreeMap<(u32, i32), Vec<usize>>,
    sides: Vec<Sides>,
}

impl<'a> Neighbours<'a> {
    /// Nothing of the log was seen yet.
    pub(super) fn of(stored: &Stored, history: &'a History) -> Neighbours<'a> {
        let mut of = BTreeMap::<(u32, i32), Vec<usize>>::new();
        for (number, lost) in history.lost.iter().enumerate() {
            of.entry((stored.source_of(&lost.topic), lost.partition)).or_default().push(number);
        }
        Neighbours { history, of, sides: vec![Sides::default(); history.lost.len()] }
    }

    /// Takes note of an event.
    pub(super) fn see(&mut self, row: &LoggedEvent) {
        for number in self.of.get(&(row.source, row.partition)).into_iter().flatten() {
            let (gap, sides) = (&self.history.lost[*number].gap, &mut self.sides[*number]);
            if row.offset < gap.from {
                sides.before = sides.before.max(Some((row.offset, row.event.ts())));
            } else if row.offset >= gap.to && sides.after.is_none_or(|(offset, ..)| row.offset < offset) {
                sides.after = Some((row.offset, row.event.ts(), row.commit));
            }
        }
    }

    /// All events were seen: what the commits tell must be what they are.
    pub(super) fn check(&self) -> Result<(), Problem> {
        for ((lost, since), sides) in self.history.lost.iter().zip(&self.history.lost_since).zip(&self.sides) {
            let (before, after) = (sides.before.map(|(_, ts)| ts), sides.after.map(|(_, ts, _)| ts));
            same(lost, "before", lost.gap.event_at_before, before)?;
            same(lost, "after", lost.gap.event_at_after, after)?;
            let read_by = sides.after.map(|(.., commit)| commit);
            if read_by != since.after {
                let number = |commit: Option<i64>| commit.map_or("none".to_owned(), |commit| commit.to_string());
                let (told, read_by) = (number(since.after), number(read_by));
                let what = format!("the event after it is told by commit {told}, and was read by commit {read_by}");
                return Err(wrong(lost, &what));
            }
        }
        Ok(())
    }
}

fn same(lost: &Lost, side: &str, told: Option<Ms>, is: Option<Ms>) -> Result<(), Problem> {
    let time = |at: Option<Ms>| at.map_or("none".to_owned(), rfc3339);
    if told == is {
        return Ok(());
    }
    Err(wrong(
        lost,
        &format!("the commits say that the event {side} it is of {}, the table events {}", time(told), time(is)),
    ))
}

fn wrong(lost: &Lost, what: &str) -> Problem {
    let Lost { topic, partition, gap } = lost;
    Problem::data(format!("The gap [{}, {}) in {topic}/{partition}: {what}.", gap.from, gap.to))
}

/// What is wrong with `complete` of a live minute in this file, if anything. The sessions that a gap left open are not
/// kept, so for how long after it minutes are not complete is not known here.
pub(super) fn wrong_complete(history: &History, file: &FileEntry, row: &MinuteRow) -> Option<&'static str> {
    let commit = i64::try_from(file.begun_in()).unwrap_or(i64::MAX);
    let all = || history.lost.iter().zip(&history.lost_since);
    let known = || all().filter(|(lost, since)| !lost.gap.beginning && since.commit <= commit);
    let quiet_from = row.airing_at - history.idle_at(commit);
    // Whether the airing may have begun in a lost beginning.
    let may_have_begun_in = |lost: &Lost| lost.gap.event_at_after.is_none_or(|after| quiet_from < after);
    if row.complete {
        // A partition that was added may have been found when the minute had closed.
        let mut beginnings = all().filter(|(lost, since)| lost.gap.beginning && since.commit < commit);
        if !file.rewritten && beginnings.any(|(lost, _)| may_have_begun_in(lost)) {
            return Some("is complete, though its airing may have begun before what is left of the input");
        }
        // A minute that was written anew may have closed before the gap was known, and so may one before the event that
        // went before it.
        let holds = |lost: &Lost| {
            let (before, after) = (lost.gap.event_at_before, lost.gap.event_at_after);
            before.is_none_or(|before| minute_of(before) <= row.minute_at)
                && after.is_none_or(|after| row.minute_at <= before.unwrap_or(after).max(after))
        };
        let is_in_one = !file.rewritten && known().any(|(lost, _)| holds(lost));
        return is_in_one.then_some("is complete, though a gap lies in it");
    }
    let reaches = |lost: &Lost| {
        let from = lost.gap.event_at_before.map(|before| lost.gap.event_at_after.unwrap_or(before).min(before));
        from.is_none_or(|from| minute_of(from) <= row.minute_at)
    };
    // Until the first event of the partition had come, all airings might have begun before it.
    let was_open = |since: &Since| file.rewritten || since.after.is_none_or(|after| commit <= after);
    let mut beginnings = all().filter(|(lost, _)| lost.gap.beginning);
    let is_of_one = beginnings.any(|(lost, since)| may_have_begun_in(lost) || was_open(since));
    let is_behind_one = is_of_one || known().any(|(lost, _)| reaches(lost));
    (!is_behind_one).then_some("is not complete, though no gap lies in it or before it")
}
