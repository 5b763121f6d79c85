//! Dead letters: records that could not be used, sent whole to a topic of their own, each with headers that say where
//! it was and why. They arrive before the commit that moves their offsets, so that none is missing; after a crash some
//! arrive twice, with the same place.

use super::options::Options;
use audience::{Ms, Rejection};
use ingester::kafka::{Kafka, KafkaError, KafkaOptions, PartitionInfo};
use ingester::producer::{Producer, Target};
use problem::{Awaited, Problem};
use std::sync::Arc;
use std::time::Duration;

/// How long one attempt to deliver takes.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long the brokers have to tell what is wrong with the topic.
const ANSWER: Duration = Duration::from_secs(2);

/// A record that could not be used, whole.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) info: PartitionInfo,
    pub(super) offset: i64,
    pub(super) time: Option<Ms>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// Length of the value as it came.
    pub(super) value_bytes: usize,
    pub(super) rejection: Rejection,
    /// The topic refused it, or the batch that it went with, for its size.
    pub(super) is_too_large: bool,
}

impl Letter {
    pub(super) fn bytes(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Letter>() + len(&self.key) + len(&self.value)
    }
}

/// Who sends them.
#[derive(Debug)]
pub(super) struct Letters {
    topic: String,
    kafka: KafkaOptions,
    producer: Producer,
}

impl Letters {
    /// The topic `rejected_topic`, which must be there; `None` where none is wanted.
    pub(super) fn open(options: &Options) -> Result<Option<Letters>, Problem> {
        let Some(topic) = options.rejected_topic.clone() else { return Ok(None) };
        if options.topic.contains(&topic) {
            return Err(Problem::usage(format!(
                "rejected_topic = {topic:?} is one of the topics that are read: each rejected record would come back for ever. \
                 Give it a topic of its own."
            )));
        }
        let kafka = options.kafka_of(&[Arc::from(topic.as_str())]);
        let producer = Producer::to_topics(&kafka)?;
        Ok(Some(Letters { topic, kafka, producer }))
    }

    /// Sends `letters` and takes out those that the brokers have. What remains is to be sent again: the problem says
    /// that it may pass.
    pub(super) fn send(&mut self, letters: &mut Vec<Letter>) -> Result<(), Problem> {
        let Err(mut problem) = self.attempt(letters) else { return Ok(()) };
        // What is too large in the company of others may fit alone. What is too large alone goes without its bytes: it
        // would hold everything up for ever.
        let (large, mut rest): (Vec<_>, Vec<_>) = letters.drain(..).partition(|letter| letter.is_too_large);
        for letter in large {
            let mut one = vec![Letter { is_too_large: false, ..letter }];
            let mut sent = self.attempt(&mut one);
            if let Some(letter) = one.first_mut().filter(|letter| letter.is_too_large) {
                (letter.key, letter.value) = (None, None);
                sent = self.attempt(&mut one);
            }
            if let Err(still) = sent {
                problem = still;
                rest.append(&mut one);
            }
        }
        *letters = rest;
        if letters.is_empty() { Ok(()) } else { Err(problem) }
    }

    /// Sends `letters` once, and keeps those that have not arrived.
    fn attempt(&mut self, letters: &mut Vec<Letter>) -> Result<(), Problem> {
        let mut number = self.sent()..;
        let given = letters.iter().try_for_each(|letter| self.give(letter));
        let Err(error) = given.and_then(|()| self.producer.flush(ATTEMPT)) else {
            letters.clear();
            return Ok(());
        };
        let (given, failed) = (self.sent(), self.producer.give_up());
        self.producer = Producer::of_any_size(&self.kafka)?;
        letters.retain_mut(|letter| {
            let number = number.next().unwrap_or(usize::MAX);
            let found = failed.binary_search_by_key(&number, |failed| failed.number);
            letter.is_too_large = found.is_ok_and(|place| failed[place].is_too_large);
            found.is_ok() || number >= given
        });
        Err(self.refused(&error))
    }

    /// Records that this client was given.
    fn sent(&self) -> usize {
        usize::try_from(self.producer.sent()).unwrap_or(usize::MAX)
    }

    /// Gives a letter to the client.
    fn give(&self, letter: &Letter) -> Result<(), KafkaError> {
        let Letter { info, offset, time, key, value, rejection, value_bytes, .. } = letter;
        let (partition, offset) = (info.partition.to_string(), offset.to_string());
        let (time, bytes) = (time.map(|time| time.to_string()).unwrap_or_default(), value_bytes.to_string());
        let headers = [
            ("jauge-topic", &*info.topic),
            ("jauge-partition", &partition),
            ("jauge-offset", &offset),
            ("jauge-time", &time),
            ("jauge-reason", rejection.reason.word()),
            ("jauge-field", rejection.field.word()),
            ("jauge-bytes", &bytes),
            ("jauge-version", env!("CARGO_PKG_VERSION")),
        ];
        let target = key.as_deref().map_or(Target::Any, Target::Key);
        self.producer.send_with(&self.topic, target, value.as_deref(), None, &headers)
    }

    /// Why the topic took nothing, in the brokers' words where they have any: a producer only knows that nobody took
    /// its records.
    fn refused(&self, error: &KafkaError) -> Problem {
        let options = KafkaOptions { start_timeout: ANSWER, ..self.kafka.clone() };
        let why = Kafka::connect(options).map(|_| ()).err();
        let why = why.as_ref().unwrap_or(error);
        let message = format!("Nothing can be written to the topic {} of rejected records: {why}", self.topic);
        Problem::world(message).awaiting(Awaited::RejectedTopic)
    }
}
