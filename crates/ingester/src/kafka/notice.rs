//! A notice is something that happened to a client and that it gets over by itself: a broker that is away, a warning.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

/// Beyond these the oldest are dropped: a client that nobody asks must not fill the memory.
const KEPT: usize = 16;

/// Something that happened to a client and that it gets over by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A broker cannot be reached; the client tries again and again.
    pub waiting: bool,
    /// What librdkafka said.
    pub text: String,
}

/// Notices of one client until they are taken. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices {
    pending: Arc<Mutex<VecDeque<Notice>>>,
}

impl Notices {
    pub(crate) fn take(&self) -> Vec<Notice> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// The text of the newest one, which stays.
    pub(crate) fn last(&self) -> Option<String> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).back().map(|notice| notice.text.clone())
    }

    pub(crate) fn push(&self, notice: Notice) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.contains(&notice) {
            return;
        }
        if pending.len() == KEPT {
            pending.pop_front();
        }
        pending.push_back(notice);
    }

    /// An error of the client as a whole. The one about all brokers says less than the one about the last of them.
    pub(crate) fn error(&self, code: RDKafkaErrorCode, text: &str) {
        let waiting = is_waiting(code);
        if code == RDKafkaErrorCode::AllBrokersDown && self.last().is_some() {
            return;
        }
        self.push(Notice { waiting, text: text.to_owned() });
    }

    /// A line of the client's log. Broken connections come as errors, too; that a broker does not answer comes as a
    /// line alone.
    pub(crate) fn log(&self, level: i32, facility: &str, text: &str) {
        if facility == "REQTMOUT" {
            self.push(Notice { waiting: true, text: text.to_owned() });
        } else if level <= RDKafkaLogLevel::Warning as i32 && !matches!(facility, "FAIL" | "ERROR" | "FATAL") {
            self.push(Notice { waiting: false, text: text.to_owned() });
        }
    }
}

/// Whether an error says that a broker or a leader is away for now.
pub(crate) fn is_waiting(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NetworkException
            | Code::Authentication
            | Code::SSL
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
    )
}

impl ClientContext for Notices {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        Notices::log(self, level as i32, facility, text);
    }

    fn error(&self, error: ClientError, reason: &str) {
        Notices::error(self, error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_notices_are_one_and_old_ones_go() {
        let notices = Notices::default();
        for number in 0..20 {
            let text = format!("broker {number} is away");
            notices.error(RDKafkaErrorCode::BrokerTransportFailure, &text);
            notices.error(RDKafkaErrorCode::BrokerTransportFailure, &text);
        }
        notices.error(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        notices.log(6, "ANY", "an aside");
        let taken = notices.take();
        assert_eq!(taken.len(), KEPT);
        assert_eq!(taken[KEPT - 1], Notice { waiting: true, text: "broker 19 is away".into() });
        assert!(notices.take().is_empty());
        notices.log(4, "REQTMOUT", "timed out 1 in-flight");
        assert_eq!(notices.take(), [Notice { waiting: true, text: "timed out 1 in-flight".into() }]);
    }
}
