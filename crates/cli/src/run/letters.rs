//! Dead letters: records that could not be used, sent whole to a topic of their own, each with headers that say where it was and why.
//! They arrive before the commit that moves their offsets, so that none is missing; after a crash some arrive twice, with the same place.

use super::logline;
use crate::problem::Problem;
use crate::settings::Settings;
use audience::{Ms, Rejection};
use ingester::kafka::{KafkaOptions, PartitionInfo};
use ingester::producer::{Producer, Target};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long one attempt to deliver takes.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A record that could not be used, whole.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) info: PartitionInfo,
    pub(super) offset: i64,
    pub(super) time: Option<Ms>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) rejection: Rejection,
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
    /// The topic of the setting `rejected_topic`, which must be there; `None` where none is set.
    pub(super) fn open(settings: &Settings) -> Result<Option<Letters>, Problem> {
        let Some(topic) = settings.rejected_topic.clone() else { return Ok(None) };
        if settings.topic.contains(&topic) {
            return Err(Problem::usage(format!(
                "rejected_topic = {topic:?} is one of the topics that are read: each rejected record would come back for ever. \
                 Give it a topic of its own."
            )));
        }
        let kafka = settings.kafka_options(&[topic.as_str()])?;
        let producer = Producer::to_topics(&kafka)?;
        Ok(Some(Letters { topic, kafka, producer }))
    }

    /// Sends `letters`, and waits until the brokers have them, however long that takes, or until the run is to stop.
    pub(super) fn send(
        &mut self,
        letters: &[Letter],
        settings: &Settings,
        give_up: &AtomicBool,
    ) -> Result<(), Problem> {
        let mut said = false;
        while let Err(problem) = self.attempt(letters) {
            if give_up.load(Ordering::Relaxed) {
                return Err(problem);
            }
            if !said {
                let topic = &self.topic;
                let text = format!("Waiting for the topic {topic} of rejected records; nothing is lost. ({problem})");
                logline::say(settings.log_format, &logline::warning(&text));
                said = true;
            }
            // What the client still holds is sent again by another, so that nothing it gave up on is missed.
            self.producer = Producer::connect(&self.kafka.brokers, &self.kafka.properties)?;
        }
        Ok(())
    }

    fn attempt(&self, letters: &[Letter]) -> Result<(), Problem> {
        for letter in letters {
            let Letter { info, offset, time, key, value, rejection } = letter;
            let (partition, offset) = (info.partition.to_string(), offset.to_string());
            let time = time.map(|time| time.to_string()).unwrap_or_default();
            let headers = [
                ("jauge-topic", &*info.topic),
                ("jauge-partition", &partition),
                ("jauge-offset", &offset),
                ("jauge-time", &time),
                ("jauge-reason", rejection.reason.word()),
                ("jauge-field", rejection.field.word()),
                ("jauge-version", env!("CARGO_PKG_VERSION")),
            ];
            let target = key.as_deref().map_or(Target::Any, Target::Key);
            self.producer.send_with(&self.topic, target, value.as_deref(), None, &headers)?;
        }
        Ok(self.producer.flush(ATTEMPT)?)
    }
}
