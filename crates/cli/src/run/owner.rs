//! The owner: one loop and one closed enum of the things that can happen. It moves the watermark through the lanes, cuts what they have read, and
//! hands it to the writer; nothing else decides when anything happens.

use super::finder::Added;
use super::hold::Hold;
use super::lane::{Ask, Cut, Partition, Progress};
use super::logline;
use super::snapshot::Frozen;
use super::start::Started;
use super::status::{Teller, sum_of};
use super::writer::{Standing, Work, Written};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::settling::{Settle, lock};
use aggregator::{Changes, END_OF_DATA, Gap, Gathered, Live, PartitionState, Watermarks, Why};
use audience::{MinuteRow, Ms};
use dashboard::Phase;
use ingester::kafka::{Kafka, Notice};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often the owner looks at the lanes when nothing happens.
const TICK: Duration = Duration::from_millis(50);
/// While nothing is read, a commit says how far the watermark has run on, no more often than this and than airings settle.
const TELL_TIME_EVERY: Duration = Duration::from_secs(1);
/// How long after the start a partition may be unread before it is named.
const UNREAD_AFTER: Duration = Duration::from_secs(15);
/// Of a broker that is away it is enough to hear so often.
const NOTICE_EVERY: Duration = Duration::from_secs(30);
/// How long a transaction is open before it is named, and until it is named again.
const NAME_AFTER: Duration = Duration::from_secs(3);
/// The group whose offsets tell monitoring tools how far the commits are. Nobody reads from it.
const GROUP: &str = "jauge";

/// What can happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A lane gathered what the watermark has passed.
    Gathered(Gathered),
    /// A lane applied it.
    Closed(Changes),
    /// A lane handed over what it has read.
    Cut(Box<Cut>),
    /// A client says something.
    Notice(Notice),
    /// The writer is done with what it was given.
    Written(Result<Box<Written>, Problem>),
    /// The broker told what has become of the topics.
    Answered,
    /// A partition was added.
    Added(Added),
    /// A lane cannot go on, or a topic is not there any more.
    Failed(Problem),
}

/// What the outside sees of a run, a few times a second.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) live: &'a Live,
    /// Next offsets, by index of the partition.
    pub(crate) positions: &'a BTreeMap<usize, i64>,
}

/// A lane as the owner holds it.
pub(super) struct LaneHandle {
    pub(super) asks: Sender<Ask>,
    pub(super) progress: Arc<Mutex<BTreeMap<usize, Progress>>>,
}

/// The owner of a run.
pub(super) struct Owner<'a> {
    pub(super) settings: &'a Settings,
    pub(super) kafka: Arc<Kafka>,
    pub(super) lanes: Vec<LaneHandle>,
    pub(super) happenings: Receiver<Happening>,
    pub(super) writer: SyncSender<Work>,
    pub(super) live: Live,
    pub(super) watermarks: Watermarks,
    pub(super) partitions: BTreeMap<usize, Partition>,
    pub(super) is_until_end: bool,
    /// What was lost of the input, each with its partition where that is read.
    pub(super) gaps: Vec<(Option<usize>, Gap)>,
    /// When it is dropped the finder ends.
    pub(super) _finder: Sender<()>,
    pub(super) stop: &'a AtomicBool,
    pub(super) watch: &'a mut dyn FnMut(&View<'_>),
    pub(super) state: State,
    pub(super) teller: Teller,
}

/// What the loop remembers from turn to turn.
pub(super) struct State {
    /// The watermark of the last round.
    pub(super) watermark: Option<Ms>,
    /// Live minutes that closed since the last cut.
    pub(super) closed: Vec<MinuteRow>,
    pub(super) progress: BTreeMap<usize, Progress>,
    pub(super) paused: Vec<usize>,
    pub(super) hold: Hold,
    pub(super) is_writing: bool,
    pub(super) written: Written,
    /// The run is stopped: the next cut is its last.
    pub(super) is_last: bool,
    pub(super) cut_at: Instant,
    /// Next offsets as of the last cut, by index of the partition.
    pub(super) cut_to: Vec<(usize, i64)>,
    pub(super) settled_at: Option<Instant>,
    pub(super) ticked_at: Instant,
    /// When a commit last told the watermark.
    pub(super) told_at: Instant,
    pub(super) noticed: Option<(String, Instant)>,
    pub(super) named_at: Instant,
    pub(super) began_at: Instant,
    /// Since when a transaction seems open, by index of the partition.
    pub(super) open_since: BTreeMap<usize, Instant>,
}

impl State {
    pub(super) fn new(watermark: Option<Ms>, written: Written) -> State {
        let now = Instant::now();
        State {
            watermark,
            closed: Vec::new(),
            progress: BTreeMap::new(),
            paused: Vec::new(),
            hold: Hold::default(),
            is_writing: false,
            written,
            is_last: false,
            cut_at: now,
            cut_to: Vec::new(),
            settled_at: None,
            ticked_at: now,
            told_at: now,
            noticed: None,
            named_at: now,
            began_at: now,
            open_since: BTreeMap::new(),
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
            self.look()?;
            self.hold_back();
            if let Some(watermark) = self.watermarks.least().filter(|at| Some(*at) > self.state.watermark) {
                self.round(watermark)?;
                self.state.watermark = Some(watermark);
            }
            self.show();
            if self.is_until_end && self.is_at_end() {
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
        self.tell(Phase::Stopping);
        // What the watermark has closed is committed with the watermark; what the end closes, with what it settles.
        self.wait_for_writer()?;
        self.cut(false)?;
        self.wait_for_writer()?;
        self.round(END_OF_DATA)?;
        self.cut(true)?;
        self.wait_for_writer()?;
        Ok(self.state.written)
    }

    /// Stopped: what was read is committed, and how far the watermark is.
    fn last_words(mut self) -> Result<Written, Problem> {
        self.tell(Phase::Stopping);
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
            Happening::Failed(problem) => Err(problem),
            Happening::Written(written) => {
                let written = *written?;
                if written.commit > self.state.written.commit {
                    self.state.told_at = Instant::now();
                }
                self.learn(&written);
                self.state.written = written;
                self.teller.written(&self.state.written, self.state.cut_at, &self.state.cut_to);
                self.state.is_writing = false;
                // For monitoring only: where it fails, the client says so in a notice.
                let _ = self.kafka.commit_offsets(GROUP, &self.state.cut_to);
                Ok(())
            }
            Happening::Answered => {
                self.teller.away_since = None;
                Ok(())
            }
            Happening::Added(added) => {
                self.read_added(added);
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
            written.frontiers.iter().for_each(|(broadcast, frontier)| self.live.set_frontier(*broadcast, *frontier));
            self.ask(&Ask::Frontiers(Arc::new(written.frontiers.clone())));
        }
        written.forgotten.iter().for_each(|id| self.ask(&Ask::Forget(Arc::clone(id))));
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

    fn ask(&self, ask: &Ask) {
        for lane in &self.lanes {
            // A lane that is gone has said why, and that is read next.
            let _ = lane.asks.send(ask.clone());
        }
    }

    /// One round of the live curve.
    fn round(&mut self, watermark: Ms) -> Result<(), Problem> {
        self.ask(&Ask::Gather(watermark));
        let gathered = self.answers(|told| if let Happening::Gathered(one) = told { Ok(one) } else { Err(told) })?;
        let directives = Arc::new(self.live.advance(watermark, gathered));
        self.ask(&Ask::Close(directives));
        let changes = self.answers(|told| if let Happening::Closed(one) = told { Ok(one) } else { Err(told) })?;
        self.state.closed.extend(self.live.close(changes));
        Ok(())
    }

    /// Looks how far the lanes are, and what each partition is doing.
    fn look(&mut self) -> Result<(), Problem> {
        let now = Instant::now();
        let away_since = self.teller.away_since;
        let idle_after = Duration::from_millis(self.settings.idle_after_ms.unsigned_abs());
        for lane in &self.lanes {
            self.state.progress.extend(lock(&lane.progress).iter().map(|(index, progress)| (*index, *progress)));
        }
        self.hear_gaps();
        for (index, progress) in &self.state.progress {
            if away_since.is_some_and(|since| progress.last_at > since) {
                self.teller.away_since = None;
            }
            if let Some(heard) = progress.heard {
                self.watermarks.heard(*index, heard, None, Ms::MAX);
            }
            let is_open = progress.is_at_end && progress.high.is_some_and(|high| high > progress.next);
            let is_quiet = now.duration_since(progress.last_at) >= idle_after;
            let state = match progress {
                _ if progress.is_done => PartitionState::Idle,
                _ if self.is_until_end && progress.is_at_end && !is_open => PartitionState::Idle,
                _ if is_open => PartitionState::OpenTransaction,
                // Of one that is held back nobody knows whether it is silent.
                Progress { is_at_end: true, .. } if is_quiet && !self.state.paused.contains(index) => {
                    PartitionState::Idle
                }
                Progress { heard: None, .. } if self.watermarks.of(*index).is_none() => PartitionState::Unread,
                _ => PartitionState::Reading,
            };
            self.watermarks.set(*index, state);
        }
        // Whole milliseconds: the rest counts next time.
        let elapsed = now.duration_since(self.state.ticked_at).as_millis();
        self.state.ticked_at += Duration::from_millis(u64::try_from(elapsed).unwrap_or(0));
        if !self.is_until_end {
            self.watermarks.run_on(Ms::try_from(elapsed).unwrap_or(0));
        }
        self.name_holders(now);
        Ok(())
    }

    /// A gap's end is known once an event has come after it.
    fn hear_gaps(&mut self) {
        let mut is_news = false;
        for (index, gap) in self.gaps.iter_mut().filter(|(_, gap)| gap.after.is_none()) {
            gap.after = index.and_then(|index| self.state.progress.get(&index)?.event_at_first);
            is_news |= gap.after.is_some();
        }
        if is_news {
            let gaps: Vec<Gap> = self.gaps.iter().map(|(_, gap)| *gap).collect();
            self.live.set_gaps(&gaps);
        }
    }

    /// An open transaction is waited for, and named. What is on its way looks like one for an instant.
    fn name_holders(&mut self, now: Instant) {
        let watermarks = &self.watermarks;
        let is_open = |index: usize| watermarks.state(index) == PartitionState::OpenTransaction;
        self.state.open_since.retain(|index, _| is_open(*index));
        for index in self.state.progress.keys().filter(|index| is_open(**index)) {
            self.state.open_since.entry(*index).or_insert(now);
        }
        let is_long = |since: Instant| now.duration_since(since) >= NAME_AFTER;
        let names = |indices: Vec<usize>| -> Vec<String> {
            indices.iter().filter_map(|index| self.partitions.get(index)).map(name).collect()
        };
        let open = self.state.open_since.iter().filter(|(_, since)| is_long(**since)).map(|(index, _)| *index);
        let open = names(open.collect());
        let unread =
            watermarks.holders().into_iter().filter(|holder| holder.why == Why::Unread).map(|holder| holder.partition);
        let unread = names(unread.collect());
        let text = if !open.is_empty() {
            format!("Waiting for an open transaction in {}.", open.join(", "))
        } else if !unread.is_empty() && now.duration_since(self.state.began_at) >= UNREAD_AFTER {
            format!("The live curve waits for {}, of which nothing could be read yet.", unread.join(", "))
        } else {
            return;
        };
        if is_long(self.state.named_at) {
            self.state.named_at = now;
            logline::say(self.settings.log_format, &logline::info(&text));
        }
    }

    fn show(&mut self) {
        let positions = self.state.progress.iter().map(|(index, progress)| (*index, progress.next)).collect();
        (self.watch)(&View { live: &self.live, positions: &positions });
        self.tell(Phase::Running);
    }

    fn is_at_end(&self) -> bool {
        self.partitions.keys().all(|index| self.state.progress.get(index).is_some_and(|progress| progress.is_done))
    }

    fn is_cut_due(&self) -> bool {
        let interval = Duration::from_millis(self.settings.commit_interval_ms.unsigned_abs());
        let bytes = sum_of(&self.lanes, |progress| progress.lane_bytes);
        self.state.cut_at.elapsed() >= interval || bytes >= self.settings.commit_bytes
    }

    /// Cuts what the lanes have read and hands it to the writer, with what is due to settle.
    fn cut(&mut self, is_end: bool) -> Result<(), Problem> {
        let settle = self.settle(is_end)?;
        if let Some(settle) = &settle {
            // From here on events of these airings come too late for them; the lanes learn it with the cut, so the log agrees.
            let frontiers: Vec<(u32, Ms)> = settle.due.iter().map(|due| (due.broadcast, due.frontier)).collect();
            frontiers.iter().for_each(|(broadcast, frontier)| self.live.set_frontier(*broadcast, *frontier));
            self.ask(&Ask::Frontiers(Arc::new(frontiers)));
            self.state.settled_at = Some(Instant::now());
        }
        let freeze = !is_end && (self.state.written.is_snapshot_due || self.state.is_last);
        self.ask(&Ask::Cut { freeze });
        let mut cuts = self.answers(|told| if let Happening::Cut(cut) = told { Ok(*cut) } else { Err(told) })?;
        let taken = cuts.iter().flat_map(|cut| &cut.partitions);
        self.state.cut_to = taken.map(|(index, taken)| (*index, taken.to)).collect();
        let standing = |(index, partition): (&usize, &Partition)| {
            let standing = Standing {
                info: partition.info.clone(),
                topic_id: partition.topic_id.clone(),
                gap: partition.gap.clone(),
                start: partition.from,
                watermark: self.watermarks.of(*index),
                is_idle: self.watermarks.state(*index) == PartitionState::Idle,
            };
            (*index, standing)
        };
        let partitions = self.partitions.iter().map(standing).collect();
        let live = std::mem::take(&mut self.state.closed);
        let watermark = self.state.watermark;
        let frozen = Frozen::of(&mut cuts, &self.live, watermark, &self.partitions);
        let is_last = self.state.is_last;
        let every = Duration::from_millis(self.settings.settle_interval_ms.unsigned_abs()).max(TELL_TIME_EVERY);
        let tells_time = is_last || self.state.told_at.elapsed() >= every;
        let work = Work { cuts, live, watermark, partitions, settle, tells_time, frozen, is_last };
        self.state.cut_at = Instant::now();
        self.state.is_writing = true;
        self.writer.send(work).map_err(|_| Problem::bug("The writer has ended without a word."))
    }

    /// What settles with this cut, if anything: with `--until-end` all at the end, else what is due.
    fn settle(&mut self, is_end: bool) -> Result<Option<Settle>, Problem> {
        if is_end || self.is_until_end {
            return Ok(is_end.then(|| Settle { due: Vec::new(), is_end }));
        }
        let interval = Duration::from_millis(self.settings.settle_interval_ms.unsigned_abs());
        let is_time = self.state.settled_at.is_none_or(|at| at.elapsed() >= interval);
        let Some(watermark) = self.state.watermark.filter(|_| is_time && !self.live.due().is_empty()) else {
            return Ok(None);
        };
        // The lanes stand still until the cut, and one more round tells what they have read so far: so what is due is so by the very events
        // that this cut commits, and no event can come in between and make an airing longer.
        self.ask(&Ask::Stand);
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

    /// Reads a partition that was added, from its beginning. It holds the watermark from now on.
    fn read_added(&mut self, added: Added) {
        let Added { index, info, from, topic_id } = added;
        let source = Started::source_of(self.settings, &info.topic);
        let partition = Partition { index, info, topic_id, gap: None, from, until: None, source };
        logline::say(
            self.settings.log_format,
            &logline::info(&format!("Reading {}, which was added.", name(&partition))),
        );
        self.watermarks.add(None);
        // A lane that is gone has said why, and that is read next.
        let _ = self.lanes[index % self.lanes.len()].asks.send(Ask::Add(Box::new(partition.clone())));
        self.partitions.insert(index, partition);
    }

    /// Says what a client says. A broker that is away makes every client say so every second, each in other words: that is said now and then.
    fn notice(&mut self, notice: &Notice) {
        if notice.waiting {
            self.teller.away_since.get_or_insert_with(Instant::now);
        }
        let noticed = &self.state.noticed;
        let again = noticed
            .as_ref()
            .is_some_and(|(text, at)| at.elapsed() < NOTICE_EVERY && (notice.waiting || *text == notice.text));
        if !again {
            let waiting = if notice.waiting { " Waiting for it; reading goes on when it is back." } else { "" };
            let text = notice.text.trim_end_matches('.');
            logline::say(self.settings.log_format, &logline::warning(&format!("Kafka: {text}.{waiting}")));
            self.state.noticed = Some((notice.text.clone(), Instant::now()));
        }
    }
}

fn name(partition: &Partition) -> String {
    format!("{}/{}", partition.info.topic, partition.info.partition)
}
