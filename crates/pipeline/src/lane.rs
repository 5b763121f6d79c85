//! A lane: one thread, the partitions it owns, and what it has read of them since the last cut. It does what the owner
//! asks between two batches, and shares nothing with other lanes but the registry.

use super::clock::{Clock, Doubt, Moment, Watch, stamp_of};
use super::letters::Letter;
use super::lock::lock;
use super::message::{Ask, Cut, Happening, LaneProgress, Partition, Progress, Taken};
use super::misfit::FirstRecords;
use super::partitions::name;
use audience::{Decoder, Details, Field, Ms, Reason, Registry, Rejection};
use exporter::{LoggedEvent, ON_TIME, PAYLOAD_MAX, RejectedRow};
use ingester::kafka::{Batch, Item, PartitionInfo};
use problem::Problem;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a lane waits for records before it looks for what the owner asks.
const WAIT: Duration = Duration::from_millis(10);
/// How often a lane asks the client where partitions end: it knows, so that asks no broker.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Records in a batch, at most.
const BATCH: usize = 10_000;
/// While a record waits for our clock, so many are read behind it: they may tell which of the two is wrong.
const BEHIND: usize = 5 * BATCH;

/// What a lane is made of.
pub(super) struct LaneParts {
    pub(super) kafka: ingester::kafka::KafkaLane,
    pub(super) live: aggregator::Lane,
    pub(super) registry: Arc<Registry>,
    pub(super) partitions: Vec<Partition>,
    pub(super) progress: Arc<Mutex<LaneProgress>>,
    pub(super) asks: Receiver<Ask>,
    pub(super) tells: Sender<Happening>,
    /// Our clock, which all lanes share, and when the process began.
    pub(super) clock: (Arc<Mutex<Clock>>, Instant),
    pub(super) keeps_letters: bool,
    pub(super) redact: bool,
    /// The first rejected event ends the run.
    pub(super) strict: bool,
    /// Beyond so many bytes since the last cut the lane reads no further until the next.
    pub(super) bytes_max: usize,
}

/// Reads until the owner goes away.
pub(super) fn run(parts: LaneParts) {
    let tells = parts.tells.clone();
    if let Err(problem) = LaneThread::new(parts).work() {
        // Without an owner nobody is left to tell.
        let _ = tells.send(Happening::Failed(problem));
    }
}

struct LaneThread {
    parts: LaneParts,
    decoder: Decoder,
    partitions: BTreeMap<usize, Partition>,
    /// What was read first of each.
    first_records: BTreeMap<usize, FirstRecords>,
    cut: Cut,
    /// What was read and is not taken yet: more than a batch only where one waits for our clock.
    batches: VecDeque<Batch>,
    /// Items of the first of them that were taken.
    begun: usize,
    /// By partition, the time that its newest record bears, while nobody knows whether our clock is right.
    newest: BTreeMap<usize, Ms>,
    is_over: bool,
    stands: bool,
    looked_at: Instant,
}

impl LaneThread {
    fn new(mut parts: LaneParts) -> LaneThread {
        let decoder = Decoder::new(Arc::clone(&parts.registry));
        let owned = std::mem::take(&mut parts.partitions);
        let mut thread = LaneThread {
            parts,
            decoder,
            partitions: BTreeMap::new(),
            first_records: BTreeMap::new(),
            cut: Cut::default(),
            batches: VecDeque::new(),
            begun: 0,
            newest: BTreeMap::new(),
            is_over: false,
            stands: false,
            looked_at: Instant::now(),
        };
        for partition in owned {
            thread.own(partition);
        }
        thread
    }

    fn own(&mut self, partition: Partition) {
        let is_done = partition.until.is_some_and(|until| partition.from >= until);
        let progress = Progress {
            next: partition.from,
            heard: None,
            event_at_first: None,
            is_at_end: false,
            high: None,
            is_done,
            last_at: Instant::now(),
        };
        lock(&self.parts.progress).partitions.insert(partition.index, progress);
        self.cut.partitions.insert(partition.index, Taken { to: partition.from, ..Taken::default() });
        self.first_records.insert(partition.index, FirstRecords::default());
        self.partitions.insert(partition.index, partition);
    }

    fn work(mut self) -> Result<(), Problem> {
        while !self.is_over {
            self.answer()?;
            let is_full = self.is_full();
            if self.stands || self.cut.bytes > self.parts.bytes_max || is_full {
                // Back-pressure: the next batch is not asked for until the writer has taken this one.
                match self.parts.asks.recv_timeout(WAIT) {
                    Ok(ask) => self.obey(ask)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                if is_full && !self.stands && self.cut.bytes <= self.parts.bytes_max {
                    self.take_read()?;
                }
                continue;
            }
            let batch = self.parts.kafka.next_batch(WAIT, BATCH)?;
            batch.notices().iter().for_each(|notice| self.tell(Happening::Notice(notice.clone())));
            self.hear(&batch);
            if self.batches.is_empty() || !batch.is_empty() {
                self.batches.push_back(batch);
            }
            self.take_read()?;
        }
        Ok(())
    }

    /// Whether no more is read behind a record that waits.
    fn is_full(&self) -> bool {
        let bytes = |item: Item<'_>| match item {
            Item::Record { value: Some(value), .. } => value.len(),
            _ => 0,
        };
        self.batches.iter().map(Batch::len).sum::<usize>() >= BEHIND
            || self.batches.iter().flat_map(Batch::items).map(bytes).sum::<usize>() >= self.parts.bytes_max
    }

    fn watch(&self) -> Watch {
        let (clock, began) = &self.parts.clock;
        Watch::of(*lock(clock), Moment::now(*began))
    }

    /// Hears from the newest record of each partition that ends here whether our clock is right, where nobody knows.
    fn hear(&mut self, batch: &Batch) {
        let Watch { moment, is_believed, .. } = self.watch();
        if is_believed {
            self.newest.clear();
            return;
        }
        for item in batch.items() {
            match item {
                Item::Record { partition, time_ms, .. } => {
                    self.newest.extend(stamp_of(time_ms).map(|stamp| (partition, stamp)));
                }
                Item::End { partition, .. } => {
                    let stamp = self.newest.remove(&partition);
                    stamp.into_iter().for_each(|stamp| lock(&self.parts.clock.0).hear(moment, stamp));
                }
            }
        }
    }

    /// Takes what was read, up to a record that waits for our clock.
    fn take_read(&mut self) -> Result<(), Problem> {
        while let Some(batch) = self.batches.pop_front() {
            let doubt = self.take(&batch)?;
            let waits = doubt.is_some();
            if waits {
                self.batches.push_front(batch);
                self.is_read_on();
            } else {
                self.begun = 0;
            }
            lock(&self.parts.progress).doubt = doubt;
            if waits {
                break;
            }
        }
        Ok(())
    }

    /// Of what waits nobody knows yet that it is the last, nor that nothing comes.
    fn is_read_on(&self) {
        let mut progress = lock(&self.parts.progress);
        let waiting = self
            .batches
            .iter()
            .enumerate()
            .flat_map(|(place, batch)| batch.items().skip(if place == 0 { self.begun } else { 0 }));
        for item in waiting {
            let (Item::Record { partition, .. } | Item::End { partition, .. }) = item;
            if let Some(one) = progress.partitions.get_mut(&partition) {
                (one.is_at_end, one.last_at) = (false, Instant::now());
            }
        }
    }

    /// Why a record waits: it would be rejected, by a clock that may be wrong. One that is only refused for its form
    /// waits, too, for when it came would be a lie. `refuters` has by partition the place of a later record that bears
    /// a time which our clock has said: by it this one is wrong, and not the clock.
    fn doubt(
        &mut self,
        batch: &Batch,
        place: usize,
        record: (usize, i64, Option<Ms>, &[u8]),
        watch: &Watch,
        refuters: &mut BTreeMap<usize, usize>,
    ) -> Option<Doubt> {
        let (index, offset, stamp, value) = record;
        let Watch { clock, moment, is_believed } = *watch;
        if is_believed || !clock.is_in_doubt(moment, stamp) {
            return None;
        }
        let decoded = self.decoder.decode(value, &mut Details::new());
        if decoded.is_ok_and(|event| !watch.is_future(event.ts())) {
            return None;
        }
        if refuters.get(&index).is_none_or(|refuter| *refuter <= place) {
            let later = batch.items().skip(place + 1).chain(self.batches.iter().flat_map(Batch::items));
            let refutes = |item: Item<'_>| match item {
                Item::Record { partition, time_ms, .. } => {
                    partition == index && stamp_of(time_ms).is_some_and(|stamp| stamp <= moment.says)
                }
                Item::End { .. } => false,
            };
            let Some(after) = later.into_iter().position(refutes) else {
                let partition = name(&self.partitions[&index]);
                return Some(Doubt { partition, offset, stamp, says: moment.says });
            };
            refuters.insert(index, place + 1 + after);
        }
        None
    }

    fn answer(&mut self) -> Result<(), Problem> {
        loop {
            match self.parts.asks.try_recv() {
                Ok(ask) => self.obey(ask)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    self.is_over = true;
                    return Ok(());
                }
            }
        }
    }

    fn obey(&mut self, ask: Ask) -> Result<(), Problem> {
        match ask {
            Ask::Gather(watermark) => {
                let gathered = self.parts.live.gather(watermark);
                self.tell(Happening::Gathered(gathered));
            }
            Ask::Close(directives) => {
                let changes = self.parts.live.close(&directives);
                self.show_bytes();
                self.tell(Happening::Closed(changes));
            }
            Ask::Stand => self.stands = true,
            Ask::Cut { freeze } => {
                self.stands = false;
                let partitions = self.cut.partitions.iter();
                let next =
                    partitions.map(|(index, taken)| (*index, Taken { to: taken.to, ..Taken::default() })).collect();
                let mut cut = std::mem::replace(&mut self.cut, Cut { partitions: next, ..Cut::default() });
                cut.frozen = if freeze { self.parts.live.freeze() } else { None };
                self.show_bytes();
                self.tell(Happening::Cut(Box::new(cut)));
            }
            Ask::Pause(indices) => self.parts.kafka.pause(&indices)?,
            Ask::Resume(indices) => {
                self.parts.kafka.resume(&indices)?;
                // What came meanwhile is still to be fetched: until then it is not silent.
                let mut progress = lock(&self.parts.progress);
                let resumed = progress.partitions.iter_mut().filter(|(index, _)| indices.contains(index));
                resumed.for_each(|(_, progress)| progress.last_at = Instant::now());
            }
            Ask::Add(partition) => {
                self.parts.kafka.add(partition.index, partition.from)?;
                self.own(*partition);
            }
            Ask::Forget(id) => self.decoder.forget(&id),
            Ask::Frontiers(frontiers) => {
                for (broadcast, frontier) in frontiers.iter() {
                    self.parts.live.set_frontier(*broadcast, frontier.at);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, told: Happening) {
        self.is_over |= self.parts.tells.send(told).is_err();
    }

    /// Takes a batch from `begun` on; gives why it stopped before its end.
    fn take(&mut self, batch: &Batch) -> Result<Option<Doubt>, Problem> {
        if batch.is_empty() {
            self.look(|progress| progress.is_at_end);
            return Ok(None);
        }
        let (watch, at) = (self.watch(), Instant::now());
        let mut seen: BTreeMap<usize, Progress> = lock(&self.parts.progress).partitions.clone();
        let (mut finished, mut refuters, mut doubt) = (Vec::new(), BTreeMap::new(), None);
        for (place, item) in batch.items().enumerate().skip(self.begun) {
            let (Item::Record { partition: index, .. } | Item::End { partition: index, .. }) = item;
            let Some(progress) = seen.get_mut(&index) else { continue };
            let until = self.partitions[&index].until;
            match item {
                Item::Record { offset, .. } if until.is_some_and(|until| offset >= until) => {
                    progress.next = progress.next.max(until.unwrap_or(offset));
                }
                Item::Record { offset, time_ms, key, value, .. } => {
                    let bytes = value.unwrap_or_default();
                    let record = (index, offset, stamp_of(time_ms), bytes);
                    doubt = self.doubt(batch, place, record, &watch, &mut refuters);
                    if doubt.is_some() {
                        self.begun = place;
                        break;
                    }
                    progress.next = offset + 1;
                    progress.is_at_end = false;
                    progress.last_at = at;
                    let rejection = self.record(index, offset, time_ms, bytes, &watch, progress)?;
                    if let Some(first) = self.first_records.get_mut(&index) {
                        first.take(bytes, rejection);
                    }
                    if let Some(rejection) = rejection {
                        self.keep_letter(index, offset, time_ms, (key, value), rejection);
                    }
                }
                Item::End { next_offset, .. } => {
                    progress.next = progress.next.max(next_offset.min(until.unwrap_or(i64::MAX)));
                    progress.is_at_end = true;
                }
            }
            if !progress.is_done && until.is_some_and(|until| progress.next >= until) {
                progress.is_done = true;
                finished.push(index);
            }
            if let Some(taken) = self.cut.partitions.get_mut(&index) {
                taken.to = progress.next;
            }
        }
        if !finished.is_empty() {
            self.parts.kafka.pause(&finished)?;
        }
        self.tell_misfits(&seen);
        self.took(seen, at);
        Ok(doubt)
    }

    /// Shows how far it is.
    fn took(&mut self, seen: BTreeMap<usize, Progress>, at: Instant) {
        lock(&self.parts.progress).partitions = seen;
        self.show_bytes();
        if at.duration_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = at;
            self.look(|progress| !progress.is_at_end);
        }
        // Behind an end an open transaction may hide records, also while other partitions give many.
        self.look(|progress| progress.is_at_end);
    }

    /// Tells of partitions that seem to hold no events; of what has begun well nothing is remembered.
    fn tell_misfits(&mut self, seen: &BTreeMap<usize, Progress>) {
        let mut all = std::mem::take(&mut self.first_records);
        for (index, first) in &mut all {
            if let Some(misfit) = first.misfit(seen[index].is_at_end || seen[index].is_done) {
                self.tell(Happening::Misfit(*index, misfit, (first.read, first.rejected)));
            }
        }
        all.retain(|_, first| first.is_read_on());
        self.first_records = all;
    }

    /// Notes where partitions end, as the client knows it.
    fn look(&self, which: impl Fn(&Progress) -> bool) {
        let mut lane = lock(&self.parts.progress);
        for (index, progress) in lane.partitions.iter_mut().filter(|(_, progress)| which(progress)) {
            progress.high = self.parts.kafka.high_watermark(*index);
        }
    }

    fn record(
        &mut self,
        index: usize,
        offset: i64,
        time: Option<Ms>,
        value: &[u8],
        watch: &Watch,
        progress: &mut Progress,
    ) -> Result<Option<Rejection>, Problem> {
        let decoded = self.decoder.decode(value, &mut self.cut.details);
        let decoded = decoded.and_then(|event| {
            let is_future = watch.is_future(event.ts());
            if is_future { Err(Rejection::of(Reason::FromTheFuture, Field::Ts)) } else { Ok(event) }
        });
        let now = watch.moment.says;
        let Partition { info, source, .. } = &self.partitions[&index];
        let taken = self.cut.partitions.entry(index).or_default();
        taken.record_at_last = time;
        taken.record_at_max = taken.record_at_max.max(time);
        match decoded {
            Ok(event) => {
                taken.accepted += 1;
                taken.event_at_first = taken.event_at_first.or(Some(event.ts()));
                taken.event_at_last = Some(event.ts());
                progress.event_at_first = progress.event_at_first.or(Some(event.ts()));
                taken.event_at_max = taken.event_at_max.max(Some(event.ts()));
                let known = stamp_of(time).unwrap_or(Ms::MAX);
                progress.heard = progress.heard.max(Some(event.ts().min(known).min(now)));
                let late_at = self.parts.live.push(event, &self.cut.details).unwrap_or(ON_TIME);
                let logged =
                    LoggedEvent { event, late_at, commit: 0, offset, source: *source, partition: info.partition };
                self.cut.events.push(logged);
                self.cut.bytes += size_of::<LoggedEvent>();
                Ok(None)
            }
            Err(rejection) => {
                if self.parts.strict {
                    return Err(refused(info, offset, rejection));
                }
                taken.rejected += 1;
                let payload = (!self.parts.redact).then(|| value[..value.len().min(PAYLOAD_MAX)].to_vec());
                self.cut.bytes += size_of::<RejectedRow>() + payload.as_ref().map_or(0, Vec::len);
                self.cut.rejected.push(RejectedRow {
                    source: Arc::clone(&info.topic),
                    partition: info.partition,
                    offset,
                    received_at: now,
                    rejection,
                    payload,
                    payload_bytes: i64::try_from(value.len()).unwrap_or(i64::MAX),
                });
                Ok(Some(rejection))
            }
        }
    }

    fn keep_letter(
        &mut self,
        index: usize,
        offset: i64,
        time: Option<Ms>,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        rejection: Rejection,
    ) {
        if self.parts.keeps_letters {
            let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
            let (info, value_bytes) = (self.partitions[&index].info.clone(), value.as_ref().map_or(0, Vec::len));
            let letter = Letter { info, offset, time, key, value, value_bytes, rejection, is_too_large: false };
            self.cut.bytes += letter.bytes();
            self.cut.letters.push(letter);
        }
    }

    fn show_bytes(&self) {
        let mut progress = lock(&self.parts.progress);
        progress.cut_bytes = self.cut.bytes + self.cut.details.len();
        progress.held_bytes = self.parts.live.held_bytes();
    }
}

/// What a strict run says of the first rejected event.
fn refused(info: &PartitionInfo, offset: i64, rejection: Rejection) -> Problem {
    let PartitionInfo { topic, partition } = info;
    Problem::data(format!(
        "{topic}/{partition}: the event at offset {offset} is rejected: {rejection}; --strict publishes nothing more then. Leave --strict \
         out: then it is kept in the table rejected."
    ))
}
