//! A correction: the airings of one broadcast computed again from all its events in the log, those that came too late
//! for their settling included; and what that moves.

use super::budget::Budget;
use super::engine::settle;
use super::gather::Gather;
use super::receiver::Receiver;
use super::rewrite::{SETTLED, without};
use super::settled::{Settled, settlement};
use super::sink::{Output, Sink, write_file};
use crate::lock::lock;
use aggregator::{Airing, Frontier, Rules, Timeline};
use audience::text;
use audience::time::rfc3339;
use audience::{AiringRow, Details, MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow, fingerprint};
use exporter::{CorrectionRow, LoggedEvent, Table, TableRows, corrections_by_date};
use problem::{Problem, in_shell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use storage::directory;
use storage::provenance;
use storage::upkeep::Outcome;
use storage::{Chain, Commit, CommitKind, Committer, Draft, FileEntry, Folder, Manifest, Store};
use storage::{ReadError, Stored, open_table};
use storage::{SettledLine, Settlements};

/// Computes the airings of the broadcast `id` again by `rules`, into a commit of `committer`'s that is not published
/// yet.
///
/// # Errors
/// A directory without a log, an id without events, an airing that goes on; or the disk refuses.
pub fn correct(committer: &Committer, id: &str, rules: Rules, budget: &Budget) -> Result<Outcome, Problem> {
    let log = Log::of(committer.store(), committer.chain())?;
    let newest = log.newest;
    let scope = Scope::find(&log, id, rules)?;
    if let Some(said) = scope.is_settled() {
        return Ok(Outcome::Nothing(said));
    }
    let feed = |gather: &Gather| -> Result<_, ReadError> {
        let mut feeder = gather.feeder();
        log.read(id, |row, details| {
            let is_its = (scope.floor.at..=scope.over_at).contains(&row.event.ts());
            if is_its { feeder.push(&row.event, details) } else { Ok(()) }
        })?;
        let mut timelines = feeder.finish()?;
        for timeline in &mut timelines {
            timeline.begin_at(scope.floor);
            timeline.only_over(scope.over_at);
        }
        Ok(timelines)
    };
    let commit = committer.begin();
    let names = [Arc::from(id)];
    let passport = provenance::of_correction(newest, &rules, commit.number());
    let tables: BTreeSet<Table> = SETTLED.into_iter().filter(|table| newest.tables.contains(table.name())).collect();
    let output = Output::new(&commit, &names, &passport, &tables, budget.sink);
    let minutes = Mutex::default();
    let receiver = || Both { sink: output.sink(), minutes: &minutes };
    let gaps = storage::gaps_of(committer.chain().lost());
    let airings = settle(feed, &rules, &gaps, budget, receiver)?;
    output.finish()?;
    let taken = without(committer, &commit, id, scope.floor.at)?;

    let mut draft = Draft::after(newest, CommitKind::Settle, directory::now());
    scope.close_ledger(&mut draft, &airings)?;
    // Other rules may be the answer to it.
    draft.silenced = if scope.rules_changed { 0 } else { draft.silenced };
    let after = minutes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut moved = scope.moved(&commit, draft.created_at, log.minutes(id, scope.floor.at)?, after);
    let count = moved.len();
    for (day, rows) in corrections_by_date(&mut moved, &names) {
        write_file(&commit, Folder::Day(day), TableRows::Corrections(rows), &names, &passport)?;
    }
    draft.tables.insert(Table::Corrections.name().to_owned());
    (draft.removed, draft.dropped) = (taken.removed, taken.dropped);
    let said = settlement(&airings, &names, &rules, newest.number);
    // There are no events before 2000.
    draft.settled = vec![storage::Settlement { replaces_from: Some(scope.floor.at.max(0)), ..said }];
    let said = scope.said(airings.len(), count);
    Ok(Outcome::Commit(Box::new((commit, draft, said))))
}

/// A sentence where settling the broadcast `id` again would change nothing.
pub fn nothing_to_do(stored: &Stored, id: &str, rules: Rules) -> Result<Option<String>, ReadError> {
    Ok(Scope::find(&Log::of(stored.store(), stored.chain())?, id, rules)?.is_settled())
}

/// A directory that keeps a log, as its newest commit left it.
#[derive(Clone, Copy)]
struct Log<'a> {
    store: &'a Store,
    chain: &'a Chain,
    newest: &'a Manifest,
}

impl<'a> Log<'a> {
    fn of(store: &'a Store, chain: &'a Chain) -> Result<Log<'a>, Problem> {
        let dir = store.root().display();
        let newest = chain.newest();
        let newest = newest
            .ok_or_else(|| Problem::world(format!("{dir} holds no commit yet, so there is nothing to settle.")))?;
        if newest.tables.contains(Table::Events.name()) {
            return Ok(Log { store, chain, newest });
        }
        Err(Problem::world(format!(
            "{dir} holds the tables of a replay, which keeps no log to settle from. Replay the files again, with the events that were missing."
        )))
    }

    /// Reads the events of one broadcast, which get the number 0.
    fn read(
        self,
        id: &str,
        mut take: impl FnMut(&LoggedEvent, &Details) -> Result<(), Problem>,
    ) -> Result<(), ReadError> {
        let files: Vec<&FileEntry> = self.chain.files_of(Table::Events.name()).collect();
        for file in files {
            let table = open_table(self.store, Table::Events, file)?.of_broadcast(id);
            for batch in table.events(|_| 0, |_| 0, fingerprint)? {
                let (rows, details) = batch?;
                rows.iter().try_for_each(|row| take(row, &details))?;
            }
        }
        Ok(())
    }

    /// The settled minutes of a broadcast's airings from `from` on.
    fn minutes(self, id: &str, from: Ms) -> Result<Vec<MinuteRow>, Problem> {
        let mut minutes = Vec::new();
        for file in self.chain.files_of(Table::Minutes.name()) {
            for batch in open_table(self.store, Table::Minutes, file)?.of_broadcast(id).minutes(|_| 0)? {
                minutes.extend(batch?.into_iter().filter(|row| row.airing_at >= from));
            }
        }
        Ok(minutes)
    }
}

/// What is to be computed again, and why.
#[derive(Debug)]
struct Scope<'a> {
    id: &'a str,
    /// What is settled now.
    line: SettledLine,
    /// Events before it are no longer all in the log, or there are none.
    floor: Frontier,
    /// Where the last airing that settles is over; `Ms::MIN` where none is.
    over_at: Ms,
    /// Where it is settled up to.
    frontier: Ms,
    /// Events that had come behind the frontier, and the first and last `ts` of them.
    late: u64,
    late_span: Option<(Ms, Ms)>,
    /// Late events of airings that can no longer be computed.
    past: u64,
    /// Events that settle for the first time.
    fresh: u64,
    /// Airings from here on settle for the first time: no correction.
    fresh_from: Ms,
    /// Events of what is not over yet.
    waiting: u64,
    rules_changed: bool,
}

impl<'a> Scope<'a> {
    fn find(log: &Log<'_>, id: &'a str, rules: Rules) -> Result<Scope<'a>, ReadError> {
        let settled = Settlements::of(log.store, log.chain, [id.to_owned()].into())?;
        let line = settled.line(id).cloned().unwrap_or_default();
        let (floor, frontier) = (line.from(settled.whole_from(id)), line.frontier());
        let replaced = |one: &&storage::SettledSpan| one.airings.iter().any(|airing| airing.frontier.at > floor.at);
        let rules_changed = line.settlements.iter().filter(replaced).any(|one| one.rules != rules);
        let mut scope = Scope {
            id,
            line,
            floor,
            over_at: Ms::MIN,
            frontier,
            late: 0,
            late_span: None,
            past: 0,
            fresh: 0,
            fresh_from: Ms::MAX,
            waiting: 0,
            rules_changed,
        };
        let mut timeline = Timeline::default();
        let mut unsettled = Vec::new();
        log.read(id, |row, _| {
            scope.hear(row, &mut timeline, &mut unsettled);
            Ok(())
        })?;
        if timeline.events() == 0 {
            return Err(scope.without_events(log.store).into());
        }
        timeline.begin_at(floor);
        let airings = timeline.airings(&rules).airings;
        // What lies before the frontier was over by then.
        let is_over = |airing: &&Airing| {
            airing.last_sign < frontier || log.newest.watermark.is_some_and(|watermark| airing.frontier.at <= watermark)
        };
        let over = airings.iter().take_while(is_over).count();
        if let Some(next) = airings.get(over).filter(|next| next.first_sign < frontier) {
            return Err(Problem::world(format!(
                "Broadcast {id:?} is on air: with the events that came late, what it settled is one airing with what is not over yet, from {} \
                 on. Nothing is changed. Settle it again once event time has passed {}, if nothing comes until then.",
                rfc3339(next.first_sign),
                rfc3339(next.frontier.at)
            ))
            .into());
        }
        let last = airings[..over].last();
        scope.over_at = last.map_or(Ms::MIN, |airing| airing.frontier.at);
        let last_sign = last.map_or(Ms::MIN, |airing| airing.last_sign);
        scope.fresh = unsettled.iter().filter(|ts| **ts <= last_sign).count() as u64;
        scope.waiting = unsettled.len() as u64 - scope.fresh;
        let fresh = airings[..over].iter().find(|airing| airing.first_sign >= frontier);
        scope.fresh_from = fresh.map_or(Ms::MAX, |airing| airing.first_sign);
        Ok(scope)
    }

    fn hear(&mut self, row: &LoggedEvent, timeline: &mut Timeline, unsettled: &mut Vec<Ms>) {
        let ts = row.event.ts();
        let is_late = self.line.at(ts).is_some_and(|one| row.commit > one.read_to);
        if ts < self.floor.at {
            self.past += u64::from(is_late);
            return;
        }
        timeline.hear(&row.event);
        if ts >= self.frontier {
            unsettled.push(ts);
        } else if is_late {
            self.late += 1;
            let (from, to) = self.late_span.unwrap_or((ts, ts));
            self.late_span = Some((from.min(ts), to.max(ts)));
        }
    }

    fn without_events(&self, store: &Store) -> Problem {
        let id = self.id;
        if self.line.settlements.is_empty() {
            return Problem::usage(format!(
                "There is no event of broadcast {id:?} in {}. See those there are: jauge show {}",
                store.root().display(),
                in_shell(store.root())
            ));
        }
        Problem::world(format!(
            "Broadcast {id:?} can no longer be settled: its events were dropped for their age (keep_events). Its tables stay as they are."
        ))
    }

    /// A sentence where nothing is to be done.
    fn is_settled(&self) -> Option<String> {
        if self.late + self.fresh > 0 || self.rules_changed && self.over_at > Ms::MIN {
            return None;
        }
        let settled = if self.line.settlements.is_empty() {
            format!("Nothing of broadcast {:?} is over yet.", self.id)
        } else {
            format!("Broadcast {:?} is settled as the log says: nothing is to be changed.", self.id)
        };
        Some(settled + &self.rest())
    }

    /// What is left as it is, and why.
    fn rest(&self) -> String {
        let mut text = String::new();
        if self.waiting > 0 {
            text += &format!(
                " {} events stay provisional: what they belong to is not over, for event time has not passed its last event by broadcast_idle.",
                text::count(self.waiting)
            );
        }
        if self.past > 0 {
            text += &format!(
                " {} events that came late cannot enter any more: the other events of their airings were dropped for their age.",
                text::count(self.past)
            );
        }
        text
    }

    fn said(&self, airings: usize, moved: usize) -> String {
        let mut why = Vec::new();
        if let Some((from, to)) = self.late_span {
            why.push(format!(
                "{} events that had come after settling, of {} to {}",
                text::count(self.late),
                rfc3339(from),
                rfc3339(to)
            ));
        }
        if self.rules_changed {
            why.push("other rules".to_owned());
        }
        if self.fresh > 0 {
            why.push(format!("{} events that had not settled", text::count(self.fresh)));
        }
        format!(
            "Broadcast {:?}: {} airings settled, with {}. {} minutes moved.{}",
            self.id,
            text::count(airings as u64),
            why.join(" and "),
            text::count(moved as u64),
            self.rest()
        )
    }

    /// The ledger after the airings that were replaced became `airings`.
    fn close_ledger(&self, draft: &mut Draft, airings: &[Settled]) -> Result<(), Problem> {
        let now = |of: fn(&Settled) -> i64| airings.iter().map(|one| of(one).unsigned_abs()).sum::<u64>();
        let now = [now(|one| one.tally.applied), now(|one| one.tally.repeated), now(|one| one.tally.orphaned)];
        let replaced = self.line.settlements.iter().flat_map(|one| &one.airings);
        let mut was = [0; 3];
        for airing in replaced.filter(|airing| airing.frontier.at > self.floor.at) {
            was.iter_mut().zip(airing.tally).for_each(|(sum, count)| *sum += count);
        }
        let sum = |counts: [u64; 3]| counts.iter().sum::<u64>();
        if sum(now) != sum(was) + self.late + self.fresh {
            return Err(Problem::bug(format!(
                "Broadcast {:?}: {was:?} settled before, {} late and {} new events do not add up to {now:?}.",
                self.id, self.late, self.fresh
            )));
        }
        let ledger = &mut draft.ledger;
        ledger.applied = ledger.applied - was[0] + now[0];
        ledger.repeated = ledger.repeated - was[1] + now[1];
        ledger.orphaned = ledger.orphaned - was[2] + now[2];
        ledger.after_settle -= self.late;
        ledger.not_yet_settled -= self.fresh;
        Ok(())
    }

    /// The minutes that are not as they were. Where two airings share a minute, each is held against the one in its
    /// turn.
    fn moved(&self, commit: &Commit, now: Ms, before: Vec<MinuteRow>, after: Vec<MinuteRow>) -> Vec<CorrectionRow> {
        let mut minutes = BTreeMap::<(Ms, usize), [Option<MinuteRow>; 2]>::new();
        let after = after.into_iter().filter(|row| row.airing_at < self.fresh_from).collect();
        for (side, mut rows) in [before, after].into_iter().enumerate() {
            rows.sort_unstable_by_key(|row| (row.minute_at, row.airing_at));
            for same in rows.chunk_by(|a, b| a.minute_at == b.minute_at) {
                for (turn, row) in same.iter().enumerate() {
                    minutes.entry((row.minute_at, turn)).or_default()[side] = Some(row.clone());
                }
            }
        }
        let moved = minutes.into_iter().filter(|(_, [before, after])| before != after);
        let row = |((minute_at, _), [before, after]): ((Ms, usize), [Option<MinuteRow>; 2])| CorrectionRow {
            broadcast: 0,
            minute_at,
            commit: i64::try_from(commit.number()).unwrap_or(i64::MAX),
            corrected_at: now,
            late_events: i64::try_from(self.late).unwrap_or(i64::MAX),
            late_span: self.late_span,
            rules_changed: self.rules_changed,
            before,
            after,
        };
        moved.map(row).collect()
    }
}

/// Writes what settles, and keeps its minutes.
struct Both<'a> {
    sink: Sink<'a>,
    minutes: &'a Mutex<Vec<MinuteRow>>,
}

impl aggregator::Rows for Both<'_> {
    fn session(&mut self, row: SessionRow, via: Option<&str>) {
        self.sink.session(row, via);
    }

    fn retweet(&mut self, row: RetweetRow, detail: RetweetDetail<'_>) {
        self.sink.retweet(row, detail);
    }
}

impl Receiver for Both<'_> {
    fn minute(&mut self, row: MinuteRow) {
        lock(self.minutes).push(row.clone());
        self.sink.minute(row);
    }

    fn airing(&mut self, row: AiringRow) {
        self.sink.airing(row);
    }

    fn settle_down(&mut self) -> Result<(), Problem> {
        self.sink.settle_down()
    }

    fn finish(self) -> Result<(), Problem> {
        self.sink.finish()
    }
}
