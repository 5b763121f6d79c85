//! The writer: one thread that encodes, syncs and commits what the owner cut, so that Parquet is not on the path of an
//! event; and settles what is due, answers operators, and tidies up. Here is the order of its turn; what each step does
//! stands in the file of the step.

use super::cut::{Whole, commit_cut, counts_of, place_of};
use super::letters::Letters;
use super::message::{Frozen, PartitionAtCut, Work, Written};
use super::publisher::Publisher;
use super::requests::answer_requests;
use super::said::Said;
use super::snapshot::{Base, Snapshots};
use super::tidy::Tidy;
use aggregator::Tally;
use audience::{MinuteRow, Ms};
use problem::Problem;
use settling::{Budget, Settle, Settled, Settler, settle_due};
use std::time::{Duration, Instant};
use storage::provenance;
use storage::{CommitKind, Counts, OffsetGap};

/// The writer's state.
pub(super) struct Writer {
    /// Ends before the directory is given up.
    pub(super) tidy: Tidy,
    pub(super) publisher: Publisher,
    /// Who sends rejected records on, where they are wanted.
    pub(super) letters: Option<Letters>,
    pub(super) snapshots: Snapshots,
    /// Leaves for sessions which a silence had closed, that no commit has told.
    silenced: u64,
    /// What became of the events that settled; `None` once it was said that leaves find no session.
    settled: Option<Tally>,
}

impl Writer {
    pub(super) fn new(publisher: Publisher, letters: Option<Letters>, snapshots: Snapshots) -> Writer {
        let (tidy, settled) = (Tidy::default(), Some(Tally::default()));
        Writer { tidy, publisher, letters, snapshots, silenced: 0, settled }
    }

    /// Commits `work`, and then what it settles.
    pub(super) fn write(&mut self, mut work: Work) -> Result<Written, Problem> {
        let mut written = self.written(0);
        self.silenced += work.silenced;
        let frozen = work.frozen.take();
        // Data that end before they began are data: the directory says that there were none.
        let is_end = work.settle.as_ref().is_some_and(|settle| settle.is_end);
        let is_all = is_end && self.publisher.committer.chain().newest().is_none();
        // The watermark does not tell that the end has closed these. In a commit before the one that settles, a crash
        // between the two would have the next run close them again.
        let mut last = if is_end { std::mem::take(&mut work.live) } else { Vec::new() };
        if is_all || !work.is_empty() || self.has_word(&work) {
            written = self.commit(&mut work)?;
        } else if !is_end {
            // Nothing else to say for now.
            let base = self.snapshots.finished();
            self.name(base, work.watermark)?;
        }
        self.freeze(frozen.filter(|_| !is_end));
        if let Some(settle) = &work.settle {
            let began = Instant::now();
            let silenced = self.silenced;
            let publish = |publisher: &mut Publisher| publish_due(publisher, settle, &mut last, silenced);
            let settled = self.publisher.until_it_fits(publish)?;
            if let Some(settled) = settled {
                self.silenced = 0;
                written = self.written(settled.iter().filter(|one| one.airing_at.is_some()).count());
                self.say(Counts::default(), &written, began.elapsed());
                self.say_orphans(settled.iter().map(|one| one.tally).sum());
            }
        }
        answer_requests(&mut self.publisher, &mut written)?;
        self.tidy.turn(&mut self.publisher)?;
        if work.is_last {
            let base = self.snapshots.wait();
            self.name(base, work.watermark)?;
        }
        let Written { commit, ledger, is_snapshot_due, .. } = self.written(0);
        Ok(Written { commit, ledger, is_snapshot_due, ..written })
    }

    /// Commits what was read. What was rejected is sent on before.
    fn commit(&mut self, work: &mut Work) -> Result<Written, Problem> {
        let began = Instant::now();
        work.silenced = std::mem::take(&mut self.silenced);
        let counts = counts_of(&work.cuts);
        let mut letters = work.cuts.iter_mut().flat_map(|cut| std::mem::take(&mut cut.letters)).collect();
        let Writer { publisher, letters: sender, snapshots, .. } = self;
        publisher.until_it_fits(|_| sender.as_mut().map_or(Ok(()), |to| to.send(&mut letters)))?;
        let mut whole = Whole::of(std::mem::take(&mut work.cuts));
        publisher.until_it_fits(|publisher| commit_cut(publisher, snapshots, &mut whole, &counts, work))?;
        let number = publisher.committer.chain().number();
        snapshots.note(i64::try_from(number).unwrap_or(i64::MAX), &whole.events);
        let written = self.written(0);
        self.say(counts, &written, began.elapsed());
        Ok(written)
    }

    /// Whether there is something to say without a row: a gap that no commit has, or, now and then, that time went on.
    fn has_word(&self, work: &Work) -> bool {
        let Some(newest) = self.publisher.committer.chain().newest() else { return false };
        let known = |one: &PartitionAtCut| {
            place_of(&newest.inputs.partitions, &one.info).map(|at| &newest.inputs.partitions[at])
        };
        let is_unknown = |one: &PartitionAtCut, gap: &OffsetGap| known(one).is_none_or(|is| is.to == gap.from);
        let is_gap = |one: &PartitionAtCut| one.gap.as_ref().is_some_and(|gap| is_unknown(one, gap));
        let went_on = |one: &PartitionAtCut| known(one).is_some_and(|is| is.watermark < one.watermark);
        let mut partitions = work.partitions.values();
        partitions.clone().any(is_gap)
            || (work.tells_time && (newest.watermark < work.watermark || partitions.any(went_on)))
    }

    /// How it stands after the newest commit, with which `airings` settled.
    pub(super) fn written(&self, airings: usize) -> Written {
        let (commit, ledger) = (self.publisher.committer.chain().number(), self.publisher.ledger());
        Written { commit, ledger, airings, is_snapshot_due: self.snapshots.is_due(), ..Written::default() }
    }

    /// Begins a snapshot of what was frozen at the cut of the last commit.
    fn freeze(&mut self, frozen: Option<Frozen>) {
        let Publisher { committer, registry, options, .. } = &self.publisher;
        let commit = committer.chain().number();
        if let Some(frozen) = frozen.filter(|_| commit > 0 && self.snapshots.is_new()) {
            let rules = exporter::SavedRules::from(options.rules);
            self.snapshots.begin(frozen, commit, rules, registry.ids(), committer.begin());
        }
    }

    /// Names a snapshot in a commit of its own, where no other is to come soon.
    fn name(&mut self, base: Result<Option<Base>, String>, watermark: Option<Ms>) -> Result<(), Problem> {
        let Some(base) = self.publisher.heard(base) else { return Ok(()) };
        let commit = self.publisher.committer.begin();
        let mut draft = self.publisher.draft(CommitKind::Run);
        draft.watermark = watermark.max(draft.watermark);
        base.enter(&commit, &mut draft);
        match self.publisher.publish(&commit, &draft) {
            // All that was read is committed: a full disk costs the next start some time, no more.
            Err(problem) if problem.awaits.is_some() => Ok(()),
            done => done,
        }
    }

    /// Says, once, that most leaves find no session. Those of a silence are said by themselves.
    fn say_orphans(&mut self, more: Tally) {
        let Some(tally) = &mut self.settled else { return };
        *tally += Tally { orphaned: more.orphaned - more.silenced, silenced: 0, ..more };
        if tally.is_mostly_orphaned() {
            let broadcast_idle = self.publisher.options.rules.broadcast_idle;
            self.publisher.say(Said::Orphans { tally: *tally, broadcast_idle });
            self.settled = None;
        }
    }

    fn say(&self, counts: Counts, written: &Written, took: Duration) {
        let Written { commit: number, ledger, airings, .. } = *written;
        self.publisher.say(Said::Commit { number, counts, ledger, airings, took });
    }
}

/// Settles what is due, in a commit of its own; gives what settled, `None` where nothing was due.
fn publish_due(
    publisher: &mut Publisher,
    what: &Settle,
    live: &mut [MinuteRow],
    silenced: u64,
) -> Result<Option<Vec<Settled>>, Problem> {
    let Publisher { committer, registry, options, .. } = &*publisher;
    let settler = Settler {
        committer,
        registry,
        rules: options.rules,
        budget: &Budget::beside_live(options.memory_bytes, options.lanes, committer.store().scratch()),
        passport: &|commit| provenance::of_topics(&options.rules, options.lateness_ms, &options.topic, commit),
        draft: &|| publisher.draft(CommitKind::Run),
    };
    let Some((commit, mut draft, settled)) = settle_due(&settler, what, live)? else { return Ok(None) };
    draft.silenced += silenced;
    publisher.publish(&commit, &draft)?;
    Ok(Some(settled))
}
