//! The owner: one loop and one closed enum of the things that can happen. It moves the watermark through the lanes,
//! cuts what they have read, and hands it to the writer; nothing else decides when anything happens.

use super::lanes::Lanes;
use super::lock::lock;
use super::message::{Ask, Cut, Frozen, Happening, Work, Written};
use super::misfit::Misfit;
use super::options::Options;
use super::partitions::{Partitions, lost_beginnings, name};
use super::said::{Said, Tell};
use super::view::{Durable, View};
use aggregator::{Frontier, Live, Tally};
use audience::{MinuteRow, Ms};
use ingester::kafka::{Kafka, Notice};
use problem::{Awaited, Problem};
use settling::Settle;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often the owner looks at the lanes when nothing happens.
const TICK: Duration = Duration::from_millis(50);
/// While nothing is read, a commit says how far the watermark has run on, no more often than this and than airings
/// settle.
const TELL_TIME_EVERY: Duration = Duration::from_secs(1);
/// How long after the start a partition may be unread before it is named.
const UNREAD_AFTER: Duration = Duration::from_secs(15);
/// Of a broker that is away it is enough to hear so often.
const NOTICE_EVERY: Duration = Duration::from_secs(30);
/// How long nothing is said of what holds the watermark after that was said, and after the start.
const NAME_EVERY: Duration = Duration::from_secs(3);
/// The group whose offsets tell monitoring tools how far the commits are. Nobody reads from it.
const GROUP: &str = "jauge";

/// The owner of a run.
pub(super) struct Owner<'a> {
    pub(super) options: &'a Options,
    pub(super) tell: Tell,
    pub(super) kafka: Arc<Kafka>,
    pub(super) lanes: Lanes,
    pub(super) happenings: Receiver<Happening>,
    pub(super) writer: SyncSender<Work>,
    /// What the writer waits for.
    pub(super) awaited: Arc<Mutex<Option<Awaited>>>,
    pub(super) live: Live,
    pub(super) partitions: Partitions,
    pub(super) is_until_end: bool,
    /// When it is dropped the finder ends.
    pub(super) _finder: Sender<()>,
    pub(super) stop: &'a AtomicBool,
    pub(super) watch: Box<dyn FnMut(&View<'_>) + 'a>,
    pub(super) state: State,
}

/// What the loop remembers from turn to turn.
pub(super) struct State {
    /// The watermark of the last round.
    watermark: Option<Ms>,
    /// Live minutes that closed since the last cut.
    closed: Vec<MinuteRow>,
    /// Leaves for sessions which a silence had closed, since the last cut.
    silenced: u64,
    /// That there are such leaves was said.
    is_silence_told: bool,
    is_writing: bool,
    written: Written,
    durable: Durable,
    /// The run is stopped: the next cut is its last.
    is_last: bool,
    cut_at: Instant,
    /// Next offsets as of the last cut, by index of the partition.
    cut_to: Vec<(usize, i64)>,
    settled_at: Option<Instant>,
    ticked_at: Instant,
    /// When a commit last told the watermark.
    told_at: Instant,
    noticed: Option<(String, Instant)>,
    /// When it was last said what holds the watermark.
    named_at: Instant,
    began_at: Instant,
    /// Since when the brokers are away, if they are.
    away_since: Option<Instant>,
    /// A lane waits for our clock.
    doubts_clock: bool,
    /// What was said already of partitions that seem to hold no events.
    misfits: BTreeSet<Misfit>,
}

impl State {
    pub(super) fn new(watermark: Option<Ms>, written: Written) -> State {
        let now = Instant::now();
        State {
            watermark,
            closed: Vec::new(),
            silenced: 0,
            is_silence_told: false,
            is_writing: false,
            written,
            durable: Durable::begin(),
            is_last: false,
            cut_at: now,
            cut_to: Vec::new(),
            settled_at: None,
            ticked_at: now,
            told_at: now,
            noticed: None,
            named_at: now,
            began_at: now,
            away_since: None,
            doubts_clock: false,
            misfits: BTreeSet::new(),
        }
    }
}

impl Owner<'_> {
    /// Runs until it is stopped, or to the end of the data. Everything that was read is committed then.
    pub(super) fn run(mut self) -> Result<Written, Problem> {
        while !self.stop.load(Ordering::Relaxed) {
            match self.happenings.recv_timeout(TICK) {
                Ok(happening) => self.take(happening)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Problem::bug("All lanes have ended without a word."));
                }
            }
            self.look();
            self.hold_back();
            if let Some(watermark) = self.partitions.least().filter(|at| Some(*at) > self.state.watermark) {
                self.round(watermark)?;
                self.state.watermark = Some(watermark);
            }
            self.show(false);
            if self.is_until_end && self.partitions.is_at_end() {
                return self.end();
            }
            if self.is_cut_due() && !self.state.is_writing {
                self.cut(false)?;
            }
        }
        self.last_words()
    }

    /// All targets are reached: the data end here.
    fn end(mut self) -> Result<Written, Problem> {
        (self.tell)(Said::AtEnd);
        self.show(true);
        // What the watermark has closed is committed with the watermark; what the end closes, with what it settles.
        self.wait_for_writer()?;
        self.cut(false)?;
        self.wait_for_writer()?;
        self.round(aggregator::END_OF_DATA)?;
        self.cut(true)?;
        self.wait_for_writer()?;
        Ok(self.state.written)
    }

    /// Stopped: what was read is committed, and how far the watermark is.
    fn last_words(mut self) -> Result<Written, Problem> {
        (self.tell)(Said::Stopping);
        self.show(true);
        self.state.is_last = true;
        self.wait_for_writer()?;
        self.cut(false)?;
        self.wait_for_writer()?;
        Ok(self.state.written)
    }

    fn take(&mut self, happening: Happening) -> Result<(), Problem> {
        match happening {
            Happening::Notice(notice) => {
                self.notice(&notice);
                Ok(())
            }
            Happening::Misfit(index, misfit, counts) => {
                let partition = self.partitions.all().get(&index).map(name).unwrap_or_default();
                let told = misfit.told(&partition, counts, &self.options.out);
                if self.state.misfits.insert(misfit) {
                    (self.tell)(Said::Warning(told));
                }
                Ok(())
            }
            Happening::Failed(problem) => Err(problem),
            Happening::Written(written) => {
                let written = *written?;
                if written.commit > self.state.written.commit {
                    self.state.told_at = Instant::now();
                }
                self.learn(&written);
                self.state.durable.written(&written, self.state.cut_at, &self.state.cut_to);
                self.state.written = written;
                self.state.is_writing = false;
                // For monitoring only: where it fails, the client says so in a notice.
                let _ = self.kafka.commit_offsets(GROUP, &self.state.cut_to);
                Ok(())
            }
            Happening::Answered => {
                self.state.away_since = None;
                Ok(())
            }
            Happening::Added(added) => {
                let source = self.options.source_of(&added.info.topic);
                let partition = self.partitions.add(added, source).clone();
                (self.tell)(Said::Info(format!("Reading {}, which was added.", name(&partition))));
                if partition.gap.is_some() {
                    let idle = self.options.rules.broadcast_idle;
                    lost_beginnings(std::iter::once(&partition), idle).into_iter().for_each(|said| (self.tell)(said));
                    self.live.set_gaps(&self.partitions.gaps());
                }
                self.lanes.ask_one(partition.index, Ask::Add(Box::new(partition)));
                Ok(())
            }
            Happening::Gathered(_) | Happening::Closed(_) | Happening::Cut(_) => {
                Err(Problem::bug("A lane answered what it was not asked."))
            }
        }
    }

    /// What an operator asked for changes what the lanes may still count, and how they hide who it was.
    fn learn(&mut self, written: &Written) {
        if !written.frontiers.is_empty() {
            self.set_frontiers(written.frontiers.clone());
        }
        written.forgotten.iter().for_each(|id| self.lanes.ask(&Ask::Forget(Arc::clone(id))));
    }

    fn set_frontiers(&mut self, frontiers: Vec<(u32, Frontier)>) {
        frontiers.iter().for_each(|(broadcast, frontier)| self.live.set_frontier(*broadcast, *frontier));
        self.lanes.ask(&Ask::Frontiers(Arc::new(frontiers)));
    }

    /// Waits for one answer of each lane.
    fn answers<T>(&mut self, pick: impl Fn(Happening) -> Result<T, Happening>) -> Result<Vec<T>, Problem> {
        let mut answers = Vec::with_capacity(self.lanes.len());
        while answers.len() < self.lanes.len() {
            let happening = self.happenings.recv().map_err(|_| Problem::bug("All lanes have ended without a word."))?;
            match pick(happening) {
                Ok(answer) => answers.push(answer),
                Err(other) => self.take(other)?,
            }
        }
        Ok(answers)
    }

    /// One round of the live curve.
    fn round(&mut self, watermark: Ms) -> Result<(), Problem> {
        self.lanes.ask(&Ask::Gather(watermark));
        let gathered = self.answers(|told| if let Happening::Gathered(one) = told { Ok(one) } else { Err(told) })?;
        let directives = Arc::new(self.live.advance(watermark, gathered));
        self.lanes.ask(&Ask::Close(directives));
        let changes = self.answers(|told| if let Happening::Closed(one) = told { Ok(one) } else { Err(told) })?;
        self.hear_silenced(changes.iter().map(|one| one.silenced).sum());
        self.state.closed.extend(self.live.close(changes));
        Ok(())
    }

    /// Takes note of leaves that came for sessions which a silence had closed.
    fn hear_silenced(&mut self, leaves: u64) {
        self.state.silenced += leaves;
        if leaves > 0 && !std::mem::replace(&mut self.state.is_silence_told, true) {
            let leaves = i64::try_from(leaves).unwrap_or(i64::MAX);
            let tally = Tally { orphaned: leaves, silenced: leaves, ..Tally::default() };
            (self.tell)(Said::Orphans { tally, broadcast_idle: self.options.rules.broadcast_idle });
        }
    }

    /// Looks how far the lanes are, and what each partition is doing.
    fn look(&mut self) {
        let now = Instant::now();
        let idle_after = Duration::from_millis(self.options.idle_after_ms.unsigned_abs());
        self.partitions.look(self.lanes.progress(), idle_after, self.is_until_end);
        if let Some(gaps) = self.partitions.hear_gaps() {
            self.live.set_gaps(&gaps);
        }
        if self.state.away_since.is_some_and(|since| self.partitions.is_heard_since(since)) {
            self.state.away_since = None;
        }
        // Whole milliseconds: the rest counts next time.
        let elapsed = now.duration_since(self.state.ticked_at).as_millis();
        self.state.ticked_at += Duration::from_millis(u64::try_from(elapsed).unwrap_or(0));
        if !self.is_until_end {
            self.partitions.run_on(Ms::try_from(elapsed).unwrap_or(0));
        }
        self.look_at_clock();
        let holders = self.partitions.holders(now.duration_since(self.state.began_at) >= UNREAD_AFTER);
        let is_time = now.duration_since(self.state.named_at) >= NAME_EVERY;
        if let Some(holders) = holders.filter(|_| is_time) {
            self.state.named_at = now;
            (self.tell)(Said::Info(holders));
        }
    }

    /// Says that a lane waits for our clock, and that none does any more.
    fn look_at_clock(&mut self) {
        let doubt = self.lanes.doubt();
        match (&doubt, self.state.doubts_clock) {
            (Some(doubt), false) => (self.tell)(Said::Waiting(Awaited::Clock, doubt.to_string())),
            (None, true) => (self.tell)(Said::Over(Awaited::Clock)),
            _ => {}
        }
        self.state.doubts_clock = doubt.is_some();
    }

    /// Pauses partitions that are too far ahead, and resumes them.
    fn hold_back(&mut self) {
        let Options { memory_bytes, lateness_ms, max_drift_ms, .. } = *self.options;
        let held = self.lanes.held_bytes();
        let (pause, resume) = self.partitions.hold_back(held, memory_bytes / 4, lateness_ms, max_drift_ms);
        self.lanes.ask_on(&pause, Ask::Pause);
        self.lanes.ask_on(&resume, Ask::Resume);
    }

    /// Shows what the run is doing to whoever watches.
    fn show(&mut self, is_stopping: bool) {
        let view = View {
            is_stopping,
            live: &self.live,
            commit: self.state.written.commit,
            ledger: self.state.written.ledger,
            durable: &self.state.durable,
            cut_bytes: self.lanes.cut_bytes(),
            held_bytes: self.lanes.held_bytes(),
            awaited: *lock(&self.awaited),
            doubts_clock: self.state.doubts_clock,
            away_since: self.state.away_since,
            of: &self.partitions,
        };
        (self.watch)(&view);
    }

    fn is_cut_due(&self) -> bool {
        let interval = Duration::from_millis(self.options.commit_interval_ms.unsigned_abs());
        self.state.cut_at.elapsed() >= interval || self.lanes.cut_bytes() >= self.options.commit_bytes
    }

    /// Cuts what the lanes have read and hands it to the writer, with what is due to settle.
    fn cut(&mut self, is_end: bool) -> Result<(), Problem> {
        let settle = self.settle(is_end)?;
        if let Some(settle) = &settle {
            // From here on events of these airings come too late for them; the lanes learn it with the cut, so the log
            // agrees.
            self.set_frontiers(settle.due.iter().map(|due| (due.broadcast, due.frontier)).collect());
            self.state.settled_at = Some(Instant::now());
        }
        let State { watermark, is_last, .. } = self.state;
        let freeze = !is_end && (self.state.written.is_snapshot_due || is_last);
        self.lanes.ask(&Ask::Cut { freeze });
        let mut cuts: Vec<Cut> =
            self.answers(|told| if let Happening::Cut(cut) = told { Ok(*cut) } else { Err(told) })?;
        let taken = cuts.iter().flat_map(|cut| &cut.partitions);
        self.state.cut_to = taken.map(|(index, taken)| (*index, taken.to)).collect();
        let every = Duration::from_millis(self.options.settle_interval_ms.unsigned_abs()).max(TELL_TIME_EVERY);
        let work = Work {
            frozen: Frozen::of(&mut cuts, &self.live, watermark, self.partitions.all()),
            cuts,
            live: std::mem::take(&mut self.state.closed),
            watermark,
            silenced: std::mem::take(&mut self.state.silenced),
            partitions: self.partitions.standings(),
            settle,
            tells_time: is_last || self.state.told_at.elapsed() >= every,
            is_last,
        };
        self.state.cut_at = Instant::now();
        self.state.is_writing = true;
        self.writer.send(work).map_err(|_| Problem::bug("The writer has ended without a word."))
    }

    /// What settles with this cut, if anything: with `--until-end` all at the end, else what is due.
    fn settle(&mut self, is_end: bool) -> Result<Option<Settle>, Problem> {
        if is_end || self.is_until_end {
            return Ok(is_end.then(|| Settle { due: Vec::new(), is_end }));
        }
        let interval = Duration::from_millis(self.options.settle_interval_ms.unsigned_abs());
        let is_time = self.state.settled_at.is_none_or(|at| at.elapsed() >= interval);
        let Some(watermark) = self.state.watermark.filter(|_| is_time && !self.live.due().is_empty()) else {
            return Ok(None);
        };
        // The lanes stand still until the cut, and one more round tells what they have read so far: so what is due is
        // so by the very events that this cut commits, and no event can come in between and make an airing longer.
        self.lanes.ask(&Ask::Stand);
        self.round(watermark)?;
        let due = self.live.due();
        Ok((!due.is_empty()).then_some(Settle { due, is_end }))
    }

    fn wait_for_writer(&mut self) -> Result<(), Problem> {
        while self.state.is_writing {
            let happening = self.happenings.recv().map_err(|_| Problem::bug("The writer has ended without a word."))?;
            self.take(happening)?;
        }
        Ok(())
    }

    /// Says what a client says. A broker that is away makes every client say so every second, each in other words: that
    /// is said now and then.
    fn notice(&mut self, notice: &Notice) {
        if notice.waiting {
            self.state.away_since.get_or_insert_with(Instant::now);
        }
        let noticed = &self.state.noticed;
        let again = noticed
            .as_ref()
            .is_some_and(|(text, at)| at.elapsed() < NOTICE_EVERY && (notice.waiting || *text == notice.text));
        if !again {
            let waiting = if notice.waiting { " Waiting for it; reading goes on when it is back." } else { "" };
            let text = notice.text.trim_end_matches('.');
            (self.tell)(Said::Warning(format!("Kafka: {text}.{waiting}")));
            self.state.noticed = Some((notice.text.clone(), Instant::now()));
        }
    }
}
