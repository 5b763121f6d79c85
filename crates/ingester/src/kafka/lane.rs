//! A lane is one consumer and the partitions it owns; it belongs to one thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::batch::{Batch, NO_PARTITION};
use super::error::{KafkaError, unanswered};
use super::native::{Consumer, Message, Messages};
use super::notice::{Notice, Notices, is_waiting};
use super::partitions::KnownPartitions;

/// How long the offsets of a partition may take when an error needs them.
const ASK: Duration = Duration::from_secs(5);
/// How soon damaged records are fetched again.
const AGAIN: Duration = Duration::from_millis(500);
/// What is still damaged after so long was not damaged on its way.
const DAMAGED_MAX: Duration = Duration::from_secs(5);

/// One consumer and the partitions it owns.
#[derive(Debug)]
pub struct KafkaLane {
    consumer: Arc<Consumer>,
    notices: Notices,
    partitions: KnownPartitions,
    owned: Vec<Owned>,
    /// Index into `owned` by partition number, for each topic that a message named.
    topics: Vec<(usize, Vec<Option<usize>>)>,
    /// What ended this lane. Nothing comes after it, so that no offset behind it can be committed.
    failed: Option<KafkaError>,
}

#[derive(Debug)]
struct Owned {
    /// Index into the list of all partitions.
    index: usize,
    topic: Arc<str>,
    partition: i32,
    /// The offset after all that was handed on.
    next: i64,
    /// Something of it was handed on.
    begun: bool,
    is_paused: bool,
    /// What came last of it came damaged.
    damage: Option<Damage>,
}

/// Records that came damaged.
#[derive(Debug)]
struct Damage {
    since: Instant,
    /// When the damaged records are fetched again; until then nothing that comes of the partition is believed. `None`
    /// while that is under way.
    again_at: Option<Instant>,
}

impl Owned {
    /// Notes that records came damaged. False when nothing else did for too long.
    fn may_fetch_again(&mut self) -> bool {
        let now = Instant::now();
        let since = self.damage.as_ref().map_or(now, |before| before.since);
        self.damage = Some(Damage { since, again_at: Some(now + AGAIN) });
        now - since < DAMAGED_MAX
    }

    fn passes_over(&self) -> bool {
        self.damage.as_ref().is_some_and(|damage| damage.again_at.is_some())
    }
}

impl KafkaLane {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        notices: Notices,
        partitions: KnownPartitions,
        assignments: &[(usize, i64)],
    ) -> Result<KafkaLane, KafkaError> {
        let mut lane = KafkaLane { consumer, notices, partitions, owned: Vec::new(), topics: Vec::new(), failed: None };
        let list = lane.own(assignments)?;
        lane.consumer.assign(&list).map_err(|code| unanswered("assigning partitions", code))?;
        Ok(lane)
    }

    /// What has arrived: at most `records_max` (≥ 1) records and ends. Returns at once where there is something, else
    /// as soon as there is, and after `wait_max` with an empty batch.
    ///
    /// # Errors
    /// [`KafkaError::OffsetGone`], [`KafkaError::Corrupt`] or [`KafkaError::Fatal`], after everything before it was
    /// handed on. The lane is at its end then, and gives the same error again and again. A broker that is away is no
    /// error but a notice, and so are damaged records, which are fetched again for 5 s: most are damaged on their way.
    pub fn next_batch(&mut self, wait_max: Duration, records_max: usize) -> Result<Batch, KafkaError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let wait_max = self.fetch_again()?.map_or(wait_max, |soon| soon.min(wait_max));
        let records_max = records_max.max(1);
        let mut messages = Messages::new(&self.consumer);
        messages.drain(Duration::ZERO, records_max);
        if messages.len() == 0 && !wait_max.is_zero() {
            // The batch call waits for the last place to be filled, so it is asked for one, and then for what came with
            // it.
            messages.drain(wait_max, 1);
            if messages.len() == 1 {
                messages.drain(Duration::ZERO, records_max - 1);
            }
        }
        let mut places = Vec::with_capacity(messages.len());
        for message in messages.iter() {
            match self.place(message) {
                Ok(place) => places.push(place),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        messages.truncate(places.len());
        match &self.failed {
            Some(error) if places.is_empty() => Err(error.clone()),
            _ => Ok(Batch::new(messages, places, self.notices.take())),
        }
    }

    /// Stops reading partitions of this lane. What was fetched of them ahead is thrown away and comes again after
    /// `resume`.
    pub fn pause(&mut self, indices: &[usize]) -> Result<(), KafkaError> {
        let list = self.list(indices, |_| true)?;
        self.consumer.pause(&list).map_err(|code| unanswered("pausing partitions", code))?;
        self.set_paused(indices, true);
        Ok(())
    }

    /// Reads paused partitions on, from the first record that was not handed on.
    pub fn resume(&mut self, indices: &[usize]) -> Result<(), KafkaError> {
        // librdkafka takes the end of a partition for a record and would go on one offset too far (its app position),
        // so that the next record would be lost. Our own offset puts it right.
        let begun = self.list(indices, |owned| owned.begun)?;
        if begun.count() > 0 {
            let refused = |reason| KafkaError::Unanswered { asked: "resuming partitions".to_owned(), reason };
            self.consumer.seek(&begun).map_err(refused)?;
        }
        let list = self.list(indices, |_| true)?;
        self.consumer.resume(&list).map_err(|code| unanswered("resuming partitions", code))?;
        self.set_paused(indices, false);
        Ok(())
    }

    fn set_paused(&mut self, indices: &[usize], is_paused: bool) {
        let owned = self.owned.iter_mut().filter(|owned| indices.contains(&owned.index));
        owned.for_each(|owned| owned.is_paused = is_paused);
    }

    /// Takes a partition more, to be read from `offset`.
    pub fn add(&mut self, index: usize, offset: i64) -> Result<(), KafkaError> {
        let list = self.own(&[(index, offset)])?;
        let refused = |reason| KafkaError::Unanswered { asked: "adding a partition".to_owned(), reason };
        self.consumer.assign_more(&list).map_err(refused)
    }

    /// The high watermark of a partition as of its last fetch: lag without a question. `None` before the first.
    pub fn high_watermark(&self, index: usize) -> Option<i64> {
        let owned = self.owned.iter().find(|owned| owned.index == index)?;
        self.consumer.cached_high(&owned.topic, owned.partition)
    }

    /// Notes partitions as owned, and lists them with their offsets.
    fn own(&mut self, assignments: &[(usize, i64)]) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(assignments.len());
        for (index, offset) in assignments {
            let (topic, partition) = self.partitions.place(*index)?;
            let added = list.add_partition_offset(&topic, partition, Offset::Offset(*offset));
            added.map_err(|error| unanswered(&format!("reading {topic}/{partition} from {offset}"), error))?;
            self.owned.push(Owned {
                index: *index,
                topic,
                partition,
                next: *offset,
                begun: false,
                is_paused: false,
                damage: None,
            });
        }
        self.topics.clear();
        Ok(list)
    }

    fn list(&self, indices: &[usize], which: impl Fn(&Owned) -> bool) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(indices.len());
        for owned in self.owned.iter().filter(|owned| indices.contains(&owned.index) && which(owned)) {
            let added = list.add_partition_offset(&owned.topic, owned.partition, Offset::Offset(owned.next));
            added.map_err(|error| unanswered("listing partitions", error))?;
        }
        Ok(list)
    }

    /// Fetches anew what came damaged, when its time has come; else how long that is.
    fn fetch_again(&mut self) -> Result<Option<Duration>, KafkaError> {
        // To begin anew would end a pause.
        let again =
            |owned: &Owned| owned.damage.as_ref().filter(|_| !owned.is_paused).and_then(|damage| damage.again_at);
        let Some(soonest) = self.owned.iter().filter_map(again).min() else { return Ok(None) };
        let now = Instant::now();
        if now < soonest {
            return Ok(Some(soonest - now));
        }
        let due = |owned: &Owned| again(owned).is_some_and(|at| at <= now);
        let indices: Vec<usize> = self.owned.iter().filter(|owned| due(owned)).map(|owned| owned.index).collect();
        let list = self.list(&indices, |_| true)?;
        // A seek is not enough: behind damage librdkafka may have gone to an offset that is none, and stopped there.
        let refused = |reason| KafkaError::Unanswered { asked: "fetching damaged records again".to_owned(), reason };
        self.consumer.assign_anew(&list).map_err(refused)?;
        for damage in self.owned.iter_mut().filter(|owned| due(owned)).filter_map(|owned| owned.damage.as_mut()) {
            damage.again_at = None;
        }
        Ok(None)
    }

    /// The partition that a message belongs to, [`NO_PARTITION`] for one that is no item, or the error that ends the
    /// lane.
    fn place(&mut self, message: Message<'_>) -> Result<u32, KafkaError> {
        let code = message.code();
        let next = match code {
            RDKafkaErrorCode::NoError => message.offset() + 1,
            RDKafkaErrorCode::PartitionEOF => message.offset(),
            _ => return self.trouble(message, code).map(|()| NO_PARTITION),
        };
        let Some(at) = self.find(message) else { return Ok(NO_PARTITION) };
        let owned = &mut self.owned[at];
        if owned.passes_over() {
            return Ok(NO_PARTITION);
        }
        (owned.next, owned.begun, owned.damage) = (next, true, None);
        Ok(u32::try_from(owned.index).unwrap_or(NO_PARTITION))
    }

    /// Where in `owned` the message's partition is.
    fn find(&mut self, message: Message<'_>) -> Option<usize> {
        let number = usize::try_from(message.partition()).ok()?;
        let key = message.topic_key();
        if !self.topics.iter().any(|(known, _)| *known == key) {
            let mut numbers = Vec::new();
            for (at, owned) in self.owned.iter().enumerate().filter(|(_, owned)| *owned.topic == *message.topic()) {
                let number = usize::try_from(owned.partition).unwrap_or(0);
                numbers.resize(numbers.len().max(number + 1), None);
                numbers[number] = Some(at);
            }
            self.topics.push((key, numbers));
        }
        let (_, numbers) = self.topics.iter().find(|(known, _)| *known == key)?;
        numbers.get(number).copied().flatten()
    }

    /// Whether an error is about an offset that librdkafka only took from damage. It may come when fetching again has
    /// begun.
    fn went_astray(&mut self, message: Message<'_>) -> bool {
        let Some(at) = self.find(message) else { return false };
        let owned = &self.owned[at];
        owned.damage.is_some() && message.offset() != owned.next
    }

    /// Damaged records are fetched again, until that was of no use for too long.
    fn damaged(&mut self, message: Message<'_>, reason: String) -> Result<(), KafkaError> {
        let (topic, partition, offset) = (message.topic().to_owned(), message.partition(), message.offset());
        if let Some(at) = self.find(message) {
            let owned = &mut self.owned[at];
            if owned.may_fetch_again() {
                let text = format!("{topic}/{partition}: {reason}. It is fetched again");
                self.notices.push(Notice { waiting: false, text });
                return Ok(());
            }
        }
        Err(KafkaError::Corrupt { topic, partition, offset, reason })
    }

    /// An error ends the lane, or is a notice.
    fn trouble(&mut self, message: Message<'_>, code: RDKafkaErrorCode) -> Result<(), KafkaError> {
        use RDKafkaErrorCode as Code;
        let text = String::from_utf8_lossy(message.bytes().unwrap_or_default()).into_owned();
        let (topic, partition) = (message.topic().to_owned(), message.partition());
        match code {
            Code::Fatal => Err(KafkaError::Fatal { reason: text }),
            // Behind damage librdkafka takes anything for the next offset and the next record.
            _ if self.find(message).is_some_and(|at| self.owned[at].passes_over()) => Ok(()),
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation if !self.went_astray(message) => {
                let handed_on = self.find(message).map_or(-1, |at| self.owned[at].next);
                let wanted = if message.offset() >= 0 { message.offset() } else { handed_on };
                let (low, high) = self.consumer.client().fetch_watermarks(&topic, partition, ASK).unwrap_or((-1, -1));
                Err(KafkaError::OffsetGone { topic, partition, wanted, low, high })
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => self.damaged(message, text),
            // librdkafka skips what it cannot read and goes on; so records would be lost without a word.
            Code::BadMessage
            | Code::BadCompression
            | Code::NotImplemented
            | Code::InvalidMessage
            | Code::MessageSizeTooLarge
            | Code::Underflow => self.damaged(message, text),
            Code::TopicAuthorizationFailed => Err(KafkaError::NotAllowed { topic, reason: text }),
            // It is about the group, which exists only because librdkafka wants one.
            _ if topic.is_empty() => Ok(()),
            _ => {
                self.notices.push(Notice { waiting: is_waiting(code), text: format!("{topic}/{partition}: {text}") });
                Ok(())
            }
        }
    }
}
