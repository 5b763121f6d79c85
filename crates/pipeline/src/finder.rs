//! The finder: a thread that asks the broker now and then what has become of the topics. It finds partitions that were
//! added, and topics that were deleted, or made again under the same name; the owner's loop never waits for its
//! answers.

use super::message::{Added, Happening, Partition};
use ingester::kafka::{Kafka, KafkaError};
use problem::Problem;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it asks.
const EVERY: Duration = Duration::from_secs(5);
/// How long the broker may take for one answer.
const ANSWER: Duration = Duration::from_secs(2);
/// A topic that is unknown for so long is deleted. For an instant one may be unknown to a broker that has just started.
const DELETED_AFTER: Duration = Duration::from_secs(10);

struct Finder {
    /// Gone once the owner is.
    kafka: Weak<Kafka>,
    /// The topics' ids as they were at the start, where the broker told any.
    ids: BTreeMap<Arc<str>, Arc<str>>,
    /// Since when a topic is unknown.
    unknown: Option<(KafkaError, Instant)>,
    /// Found, but not told, since the broker did not say where it begins.
    untold: VecDeque<usize>,
    /// The broker answered when it was last asked.
    is_answered: bool,
    tells: Sender<Happening>,
}

/// Asks until the other end of `over` is gone. The thread is not waited for: it may be in the middle of a question that
/// nobody answers.
pub(super) fn start(
    kafka: &Arc<Kafka>,
    partitions: &BTreeMap<usize, Partition>,
    tells: Sender<Happening>,
    over: Receiver<()>,
) {
    let known = partitions.values().filter_map(|one| Some((Arc::clone(&one.info.topic), one.topic_id.clone()?)));
    let ids = known.collect();
    let mut finder =
        Finder { kafka: Arc::downgrade(kafka), ids, unknown: None, untold: VecDeque::new(), is_answered: false, tells };
    std::thread::spawn(move || while over.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) && finder.look() {});
}

impl Finder {
    /// Asks once; false where there is nobody to tell any more.
    fn look(&mut self) -> bool {
        let Some(kafka) = self.kafka.upgrade() else { return false };
        if let Some(problem) = self.problem(&kafka) {
            let _ = self.tells.send(Happening::Failed(problem));
            return false;
        }
        if self.is_answered && self.tells.send(Happening::Answered).is_err() {
            return false;
        }
        // In the order of their indices, for so they are numbered.
        while let Some(index) = self.untold.front().copied() {
            // A broker that does not answer now is asked again.
            let Ok(offsets) = kafka.offsets(index, ANSWER) else { break };
            self.untold.pop_front();
            let info = kafka.partitions()[index].clone();
            let topic_id = self.ids.get(&info.topic).cloned();
            if self.tells.send(Happening::Added(Added { index, info, from: offsets.low, topic_id })).is_err() {
                return false;
            }
        }
        true
    }

    /// What ends the run, if anything does.
    fn problem(&mut self, kafka: &Kafka) -> Option<Problem> {
        self.is_answered = true;
        match kafka.refresh(ANSWER) {
            Ok(found) => {
                self.unknown = None;
                self.untold.extend(found);
            }
            Err(error @ KafkaError::UnknownTopic { .. }) => {
                let since = self.unknown.get_or_insert_with(|| (error, Instant::now()));
                let is_deleted = since.1.elapsed() >= DELETED_AFTER;
                return is_deleted.then(|| Problem::from(since.0.clone()));
            }
            Err(error @ KafkaError::TopicRefused { .. }) => return Some(error.into()),
            // A broker that is away is waited for.
            Err(_) => {
                self.is_answered = false;
                return None;
            }
        }
        let now = kafka.topic_ids(ANSWER);
        let other = self
            .ids
            .iter()
            .find_map(|(topic, was)| Some((topic, was, now.get(&**topic)?)).filter(|(_, was, is)| ***was != ***is));
        other.map(|(topic, was, is)| {
            KafkaError::AnotherTopic { topic: topic.to_string(), is: is.clone(), was: was.to_string() }.into()
        })
    }
}
