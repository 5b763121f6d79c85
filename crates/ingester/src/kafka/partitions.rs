//! The partitions that were found, each with an index that stays.

use std::sync::{Arc, PoisonError, RwLock};

use super::error::KafkaError;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionInfo {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number, ≥ 0.
    pub partition: i32,
}

/// All partitions, shared with the lanes. An index, once given, stays.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownPartitions(Arc<RwLock<Vec<PartitionInfo>>>);

impl KnownPartitions {
    pub(super) fn all(&self) -> Vec<PartitionInfo> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The topic and the number of the one at `index`.
    pub(super) fn place(&self, index: usize) -> Result<(Arc<str>, i32), KafkaError> {
        let partitions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = partitions.get(index).map(|info| (Arc::clone(&info.topic), info.partition));
        let reason = || format!("there are {} partitions", partitions.len());
        found.ok_or_else(|| KafkaError::Unanswered { asked: format!("looking up partition {index}"), reason: reason() })
    }

    /// Adds what is new, and returns its indices.
    pub(super) fn extend(&self, found: Vec<PartitionInfo>) -> Vec<usize> {
        let mut partitions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = partitions.len();
        for info in found {
            if !partitions.contains(&info) {
                partitions.push(info);
            }
        }
        (before..partitions.len()).collect()
    }
}
