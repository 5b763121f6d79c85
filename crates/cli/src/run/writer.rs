//! The writer: one thread that encodes, syncs and commits what the owner cut, so that Parquet is not on the path of an event; and settles what
//! is due. A full disk is waited for, and so is an object store, or a topic of rejected records, that is away.

use super::lane::{Cut, Taken};
use super::letters::Letters;
use super::logline;
use super::snapshot::{Base, Frozen, Snapshots};
use super::tidy::Tidy;
use crate::directory::{self, Keys};
use crate::passport;
use crate::problem::{Awaited, Problem};
use crate::replay::rules;
use crate::settings::Settings;
use crate::settling::{Budget, Settle, Settler, lock, settle_due, write_file};
use audience::{Details, MinuteRow, Ms, Registry};
use exporter::{LoggedEvent, RejectedRow, TableRows, minutes_by_date, rejected_by_date, sort_events};
use ingester::kafka::PartitionInfo;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use storage::{Commit, CommitKind, Committer, Counts, Draft, Folder, InputPartition, Ledger, OffsetGap};

/// How long what is waited for is left alone before the next try.
const WAIT: Duration = Duration::from_secs(2);

/// What the owner hands over at a cut.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) cuts: Vec<Cut>,
    /// Live minutes that closed.
    pub(super) live: Vec<MinuteRow>,
    /// The watermark of the live curve.
    pub(super) watermark: Option<Ms>,
    pub(super) partitions: BTreeMap<usize, Standing>,
    pub(super) settle: Option<Settle>,
    /// Where nothing was read, say how far the watermark is: it may have run on with the clock.
    pub(super) tells_time: bool,
    /// The live state at this cut, for a snapshot.
    pub(super) frozen: Option<Frozen>,
    /// Nothing comes after it: the snapshot is waited for.
    pub(super) is_last: bool,
}

/// A partition at a cut, as the owner sees it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) info: PartitionInfo,
    pub(super) topic_id: Option<Arc<str>>,
    /// What was lost before `start`.
    pub(super) gap: Option<OffsetGap>,
    /// Where reading began in this process.
    pub(super) start: i64,
    pub(super) watermark: Option<Ms>,
    pub(super) is_idle: bool,
}

/// What the writer tells the owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// The newest commit.
    pub(super) commit: u64,
    pub(super) ledger: Ledger,
    /// Airings that settled with it.
    pub(super) airings: usize,
    /// The next cut is to be frozen.
    pub(super) is_snapshot_due: bool,
    /// Frontiers that an operator's settling has set, by number of the broadcast.
    pub(super) frontiers: Vec<(u32, Ms)>,
    /// Broadcasts whose keys are forgotten.
    pub(super) forgotten: Vec<Arc<str>>,
}

/// The writer's state.
pub(super) struct Writer {
    /// Ends before the directory is given up.
    pub(super) tidy: Tidy,
    pub(super) owner: Committer,
    pub(super) keys: Keys,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: Settings,
    /// Names of topics, by number of the source.
    pub(super) sources: Vec<Arc<str>>,
    /// Who sends rejected records on, where they are wanted.
    pub(super) letters: Option<Letters>,
    /// The run is to stop: do not wait for a disk. What is not committed is read again.
    pub(super) give_up: Arc<AtomicBool>,
    /// What it waits for just now.
    pub(super) awaited: Arc<Mutex<Option<Awaited>>>,
    pub(super) snapshots: Snapshots,
}

impl Writer {
    /// Commits `work`, and then what it settles.
    pub(super) fn write(&mut self, mut work: Work) -> Result<Written, Problem> {
        let mut written = self.written(0);
        let frozen = work.frozen.take();
        // Data that end before they began are data: the directory says that there were none.
        let is_end = work.settle.as_ref().is_some_and(|settle| settle.is_end);
        let is_all = is_end && self.owner.chain().newest().is_none();
        // The watermark does not tell that the end has closed these. In a commit before the one that settles, a crash between the two
        // would have the next run close them again.
        let mut last = if is_end { std::mem::take(&mut work.live) } else { Vec::new() };
        if is_all || !work.is_empty() || self.has_word(&work) {
            let began = Instant::now();
            let counts = counts_of(&work.cuts);
            let mut letters = work.cuts.iter_mut().flat_map(|cut| std::mem::take(&mut cut.letters)).collect();
            self.until_it_fits(|writer| writer.letters.as_mut().map_or(Ok(()), |to| to.send(&mut letters)))?;
            let mut whole = join(std::mem::take(&mut work.cuts));
            self.until_it_fits(|writer| writer.commit_cut(&mut whole, &counts, &mut work))?;
            self.snapshots.note(i64::try_from(self.owner.chain().number()).unwrap_or(i64::MAX), &whole.events);
            written = self.written(0);
            self.say(&counts, &written, began.elapsed());
        } else if !is_end {
            // Nothing else to say for now.
            let base = self.snapshots.finished();
            self.name(base, work.watermark)?;
        }
        self.freeze(frozen.filter(|_| !is_end));
        if let Some(settle) = &work.settle {
            let began = Instant::now();
            let watermark = work.watermark;
            let airings = self.until_it_fits(|writer| writer.settle(settle, watermark, &mut last))?;
            if let Some(airings) = airings {
                written = self.written(airings);
                self.say(&Counts::default(), &written, began.elapsed());
            }
        }
        self.answer_requests(&mut written)?;
        self.tidy()?;
        if work.is_last {
            let base = self.snapshots.wait();
            self.name(base, work.watermark)?;
        }
        (written.commit, written.ledger) = (self.owner.chain().number(), self.ledger());
        written.is_snapshot_due = self.snapshots.is_due();
        Ok(written)
    }

    /// Settles what is due, in a commit of its own; gives the number of named airings.
    fn settle(
        &mut self,
        what: &Settle,
        watermark: Option<Ms>,
        live: &mut [MinuteRow],
    ) -> Result<Option<usize>, Problem> {
        let settings = &self.settings;
        let scratch = self.owner.store().scratch();
        let settler = Settler {
            owner: &self.owner,
            registry: &self.registry,
            rules: rules(settings),
            budget: &Budget::beside_live(settings.memory_bytes, settings.lanes, scratch),
            passport: &|commit| passport::of_topics(settings, commit),
            draft: &|| self.draft(CommitKind::Run),
        };
        let Some((commit, draft, airings)) = settle_due(&settler, what, watermark, live)? else { return Ok(None) };
        self.publish(&commit, &draft)?;
        Ok(Some(airings))
    }

    /// Whether there is something to say without a row: a gap that was accepted, or, now and then, that time went on.
    fn has_word(&self, work: &Work) -> bool {
        let Some(newest) = self.owner.chain().newest() else { return false };
        let known =
            |one: &Standing| place_of(&newest.inputs.partitions, &one.info).map(|at| &newest.inputs.partitions[at]);
        let is_gap =
            |one: &Standing| one.gap.as_ref().is_some_and(|gap| known(one).is_some_and(|is| is.to == gap.from));
        let went_on = |one: &Standing| known(one).is_some_and(|is| is.watermark < one.watermark);
        let mut partitions = work.partitions.values();
        partitions.clone().any(is_gap)
            || (work.tells_time && (newest.watermark < work.watermark || partitions.any(went_on)))
    }

    /// How it stands after a commit that settled `airings`.
    fn written(&self, airings: usize) -> Written {
        let (commit, ledger) = (self.owner.chain().number(), self.ledger());
        Written { commit, ledger, airings, ..Written::default() }
    }

    /// Begins a snapshot of what was frozen at the cut of the last commit.
    fn freeze(&mut self, frozen: Option<Frozen>) {
        let commit = self.owner.chain().number();
        if let Some(frozen) = frozen.filter(|_| commit > 0 && self.snapshots.is_new()) {
            let rules = exporter::SavedRules::from(rules(&self.settings));
            self.snapshots.begin(frozen, commit, rules, self.registry.ids(), self.owner.begin());
        }
    }

    /// Names a snapshot in a commit of its own, where no other is to come soon.
    fn name(&mut self, base: Result<Option<Base>, String>, watermark: Option<Ms>) -> Result<(), Problem> {
        let Some(base) = self.heard(base) else { return Ok(()) };
        let commit = self.owner.begin();
        let mut draft = self.draft(CommitKind::Run);
        draft.watermark = watermark.max(draft.watermark);
        base.enter(&commit, &mut draft);
        match self.publish(&commit, &draft) {
            // All that was read is committed: a full disk costs the next start some time, no more.
            Err(problem) if problem.awaits.is_some() => Ok(()),
            done => done,
        }
    }

    fn heard(&self, base: Result<Option<Base>, String>) -> Option<Base> {
        base.unwrap_or_else(|why| {
            logline::say(self.settings.log_format, &logline::warning(&why));
            None
        })
    }

    /// Where each broadcast's events are settled up to, by its id.
    pub(super) fn frontiers(&self) -> &BTreeMap<String, Ms> {
        self.owner.chain().frontiers()
    }

    pub(super) fn ledger(&self) -> Ledger {
        self.owner.chain().newest().map(|newest| newest.ledger).unwrap_or_default()
    }

    fn say(&self, counts: &Counts, written: &Written, took: Duration) {
        logline::say(self.settings.log_format, &logline::commit(counts, written, took));
    }

    /// Tries again while what it needs is away, such as room on the disk.
    pub(super) fn until_it_fits<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Writer) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        loop {
            let done = attempt(self);
            if !self.waits(&done) {
                return done;
            }
        }
    }

    /// Waits a while where that may help, and says so at first and at last; false where there is nothing to wait for.
    fn waits<T>(&self, done: &Result<T, Problem>) -> bool {
        let say = |line| logline::say(self.settings.log_format, &line);
        let awaits = done.as_ref().err().and_then(|problem| problem.awaits);
        let awaits = awaits.filter(|_| !self.give_up.load(Ordering::Relaxed));
        let before = std::mem::replace(&mut *lock(&self.awaited), awaits);
        match (done, before) {
            (Ok(_), Some(awaited)) => say(logline::over(awaited)),
            (Err(problem), before) if before != awaits => {
                awaits.into_iter().for_each(|awaited| say(logline::waiting(awaited, problem)));
            }
            _ => {}
        }
        if awaits.is_some() {
            std::thread::park_timeout(WAIT);
        }
        awaits.is_some()
    }

    fn commit_cut(&mut self, whole: &mut Whole, counts: &Counts, work: &mut Work) -> Result<(), Problem> {
        let commit = self.owner.begin();
        let names = self.registry.ids();
        let passport = passport::of_topics(&self.settings, commit.number());
        let number = i64::try_from(commit.number()).unwrap_or(i64::MAX);
        if !whole.events.is_empty() {
            whole.events.iter_mut().for_each(|row| row.commit = number);
            sort_events(&mut whole.events, &names);
            let rows = TableRows::Events(&whole.events, &whole.details, &self.sources);
            write_file(&commit, Folder::Writer, rows, &names, &passport)?;
        }
        for (day, rows) in rejected_by_date(&mut whole.rejected) {
            write_file(&commit, Folder::Day(day), TableRows::Rejected(rows), &names, &passport)?;
        }
        for (day, rows) in minutes_by_date(&mut work.live, &names) {
            write_file(&commit, Folder::Day(day), TableRows::Live(rows), &names, &passport)?;
        }
        let mut draft = self.draft(CommitKind::Run);
        draft.watermark = work.watermark.max(draft.watermark);
        self.place_partitions(&mut draft, whole, &work.partitions);
        let after_settle = self.after_settle(&whole.events, &names);
        draft.counts = counts.clone();
        let ledger = &mut draft.ledger;
        ledger.read += counts.read;
        ledger.accepted += counts.accepted;
        ledger.rejected += counts.rejected;
        ledger.after_settle += after_settle;
        ledger.not_yet_settled += counts.accepted - after_settle;
        let is_end = work.settle.as_ref().is_some_and(|settle| settle.is_end);
        let base = if is_end { self.snapshots.wait() } else { self.snapshots.finished() };
        // What is on air ends with the data: a later run has nothing to go on with but the log.
        let base = self.heard(base).filter(|_| !is_end);
        draft.snapshot = draft.snapshot.filter(|_| !is_end);
        base.iter().for_each(|base| base.enter(&commit, &mut draft));
        let published = self.publish(&commit, &draft);
        if published.is_err() && base.is_some() {
            self.snapshots.lost();
        }
        published
    }

    pub(super) fn publish(&mut self, commit: &Commit, draft: &Draft) -> Result<(), Problem> {
        let registry = Arc::clone(&self.registry);
        self.keys.append(&registry)?;
        // Once a manifest may be there, the same commit must be tried again and no other with the same records.
        loop {
            let done = self.owner.publish(commit, draft).map(|_| ()).map_err(Problem::from);
            if !self.waits(&done) {
                return done;
            }
        }
    }

    /// What was true stays true.
    pub(super) fn draft(&self, kind: CommitKind) -> Draft {
        let now = directory::now();
        let mut draft = match self.owner.chain().newest() {
            Some(newest) => Draft::after(newest, kind, now),
            None => Draft::first(kind, now),
        };
        draft.settings = directory::settings_of_data(&self.settings);
        draft
    }

    fn place_partitions(&self, draft: &mut Draft, whole: &Whole, standings: &BTreeMap<usize, Standing>) {
        for (index, standing) in standings {
            let Some(taken) = whole.partitions.get(index) else { continue };
            let partitions = &mut draft.inputs.partitions;
            let place = match place_of(partitions, &standing.info) {
                Some(place) => place,
                // A partition of which nothing was read yet is not known yet: it will be read from its log start.
                None if taken.to == standing.start => continue,
                None => {
                    let (topic, partition, from) =
                        (standing.info.topic.to_string(), standing.info.partition, standing.start);
                    partitions.push(InputPartition { topic, partition, from, to: from, ..InputPartition::default() });
                    partitions.len() - 1
                }
            };
            let one = &mut partitions[place];
            if let Some(gap) = standing.gap.as_ref().filter(|gap| gap.from == one.from && one.to == one.from) {
                one.gaps.push(OffsetGap { event_at_after: taken.event_at_first, ..gap.clone() });
            }
            // Of an earlier gap, also where there is one more before the first event.
            if self.awaits(&standing.info) {
                one.event_at_after_gap = taken.event_at_first;
            }
            let lost: u64 = one.gaps.iter().map(|gap| gap.to.abs_diff(gap.from)).sum();
            one.topic_id = standing.topic_id.as_deref().map(str::to_owned).or(one.topic_id.take());
            one.to = taken.to;
            one.accepted = taken.accepted;
            one.rejected = taken.rejected;
            one.skipped = (taken.to - one.from).unsigned_abs() - taken.accepted - taken.rejected - lost;
            one.event_at_last = taken.event_at_last.or(one.event_at_last);
            one.event_at_max = one.event_at_max.max(taken.event_at_max);
            one.record_at_max = one.record_at_max.max(taken.record_at_max);
            one.record_at_last = taken.record_at_last.or(one.record_at_last);
            one.watermark = one.watermark.max(standing.watermark);
            one.idle = standing.is_idle;
        }
        draft.inputs.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    }

    /// Whether a gap of the partition waits for the event after it.
    fn awaits(&self, info: &PartitionInfo) -> bool {
        let waits = |lost: &storage::Lost| lost.gap.event_at_after.is_none();
        let of_it = |lost: &&storage::Lost| *lost.topic == *info.topic && lost.partition == info.partition;
        self.owner.chain().lost().iter().filter(of_it).any(waits)
    }

    /// Events that come behind their broadcast's frontier.
    fn after_settle(&self, events: &[LoggedEvent], names: &[Arc<str>]) -> u64 {
        let frontiers = self.frontiers();
        let of_broadcast: Vec<Ms> = names.iter().map(|id| frontiers.get(&**id).copied().unwrap_or(Ms::MIN)).collect();
        events.iter().filter(|row| row.event.ts() < of_broadcast[row.event.broadcast as usize]).count() as u64
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        let nothing = |cut: &Cut| cut.events.is_empty() && cut.rejected.is_empty();
        self.live.is_empty() && self.cuts.iter().all(nothing)
    }
}

fn place_of(partitions: &[InputPartition], info: &PartitionInfo) -> Option<usize> {
    partitions.iter().position(|one| *one.topic == *info.topic && one.partition == info.partition)
}

/// The cuts of all lanes as one.
#[derive(Debug, Default)]
struct Whole {
    events: Vec<LoggedEvent>,
    details: Details,
    rejected: Vec<RejectedRow>,
    partitions: BTreeMap<usize, Taken>,
}

fn join(cuts: Vec<Cut>) -> Whole {
    let mut whole = Whole::default();
    for cut in cuts {
        if whole.events.is_empty() {
            whole.events = cut.events;
            whole.details = cut.details;
        } else {
            let details = &mut whole.details;
            let adopted =
                cut.events.into_iter().map(|row| LoggedEvent { event: details.adopt(row.event, &cut.details), ..row });
            whole.events.extend(adopted);
        }
        whole.rejected.extend(cut.rejected);
        whole.partitions.extend(cut.partitions);
    }
    whole
}

fn counts_of(cuts: &[Cut]) -> Counts {
    let mut counts = Counts::default();
    for cut in cuts {
        counts.accepted += cut.events.len() as u64;
        counts.rejected += cut.rejected.len() as u64;
        for row in &cut.rejected {
            *counts.reasons.entry(row.rejection.reason.word().to_owned()).or_default() += 1;
        }
    }
    counts.read = counts.accepted + counts.rejected;
    counts
}
