//! What can be wrong with a broker, a topic, a setting or a record.

/// Why Kafka could not be read or written. Each message says what was tried, on what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// A librdkafka property that would break what is promised, or that has a setting of its own.
    #[error("the Kafka property `{property}` cannot be set: {reason}. Remove it.")]
    Protected {
        /// Its name.
        property: String,
        /// Why not.
        reason: &'static str,
    },
    /// A property that needs encryption or authentication, in a build without them.
    #[error(
        "the Kafka property `{property}` needs encryption or authentication, which this binary was built without. \
         Build it with `--features tls` (needs libssl-dev and libsasl2-dev)."
    )]
    NeedsTls {
        /// Its name.
        property: String,
    },
    /// librdkafka does not take a property.
    #[error("the Kafka property `{property}` was refused: {reason}. See librdkafka's CONFIGURATION.md.")]
    Property {
        /// Its name.
        property: String,
        /// What librdkafka said.
        reason: String,
    },
    /// librdkafka does not take the properties together.
    #[error("no Kafka client could be made of these settings: {reason}.")]
    Client {
        /// What librdkafka said.
        reason: String,
    },
    /// No broker answered at the start.
    #[error(
        "no Kafka broker answered at {brokers} within {seconds} s ({reason}). Check `brokers`, and that the broker runs."
    )]
    NoBroker {
        /// As they were given.
        brokers: String,
        /// How long was waited.
        seconds: u64,
        /// The last failure.
        reason: String,
    },
    /// A topic does not exist.
    #[error("the topic `{topic}` does not exist at {brokers}. Check `topic`, or create it first.")]
    UnknownTopic {
        /// Its name.
        topic: String,
        /// As they were given.
        brokers: String,
    },
    /// The broker does not let us read a topic, or its name is none.
    #[error("the topic `{topic}` at {brokers} cannot be read: {reason}.")]
    TopicRefused {
        /// Its name.
        topic: String,
        /// As they were given.
        brokers: String,
        /// What the broker said.
        reason: String,
    },
    /// A topic is compacted.
    #[error(
        "the topic `{topic}` is compacted (cleanup.policy={policy}): compaction removes joins, so no count of it could be right. \
         Use a topic with cleanup.policy=delete."
    )]
    Compacted {
        /// Its name.
        topic: String,
        /// The policy that the broker told.
        policy: String,
    },
    /// The broker did not answer a question in time, or refused it. It may answer later.
    #[error("{asked}: {reason}.")]
    Unanswered {
        /// What was asked, of what.
        asked: String,
        /// What librdkafka said.
        reason: String,
    },
    /// An offset that is to be read next is not in the topic any more, or not yet.
    #[error("{topic}/{partition} does not hold offset {wanted} any more: the broker has [{low}, {high}).")]
    OffsetGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset to be read next. Below `low` retention took it; above `high` the topic was made anew or cut.
        wanted: i64,
        /// The first offset that is there; −1 where the broker does not tell.
        low: i64,
        /// The offset after the last that is there; −1 where the broker does not tell.
        high: i64,
    },
    /// Stored records cannot be read: a checksum is wrong, or a form is unknown.
    #[error("{topic}/{partition} cannot be read from offset {offset} on: {reason}.")]
    Corrupt {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it begins.
        offset: i64,
        /// What librdkafka said.
        reason: String,
    },
    /// librdkafka cannot go on.
    #[error("the Kafka client cannot go on: {reason}.")]
    Fatal {
        /// What librdkafka said.
        reason: String,
    },
    /// A record could not be given to the client.
    #[error("cannot send to the topic `{topic}`: {reason}.")]
    Send {
        /// The topic.
        topic: String,
        /// What librdkafka said.
        reason: String,
    },
    /// Records did not reach the broker.
    #[error("{lost} of {sent} records did not reach the broker ({reason}).")]
    Undelivered {
        /// Records that were refused or are unacknowledged.
        lost: u64,
        /// Records that were sent.
        sent: u64,
        /// The first failure.
        reason: String,
    },
    /// A topic could not be created.
    #[error("cannot create the topic `{topic}` at {brokers}: {reason}.")]
    CreateTopic {
        /// Its name.
        topic: String,
        /// As they were given.
        brokers: String,
        /// What the broker said.
        reason: String,
    },
    /// The embedded broker did not start.
    #[error("the embedded broker did not start: {reason}.")]
    Embedded {
        /// What librdkafka or the system said.
        reason: String,
    },
}

impl KafkaError {
    /// The exit code that the command line documents: 2 configuration, 3 the world refused, 4 the data refused.
    pub fn exit_code(&self) -> u8 {
        match self {
            KafkaError::Protected { .. }
            | KafkaError::NeedsTls { .. }
            | KafkaError::Property { .. }
            | KafkaError::Client { .. } => 2,
            KafkaError::Corrupt { .. } => 4,
            _ => 3,
        }
    }
}
