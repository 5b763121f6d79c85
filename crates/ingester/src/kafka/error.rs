//! What can be wrong with a broker, a topic, a setting or a record.

use problem::Failure;

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
    /// What is given as a broker can be no address.
    #[error("`{given}` among `brokers` is no address of a Kafka broker. Give HOST:PORT alone, as in {instead}")]
    NoAddress {
        /// As it was given.
        given: String,
        /// What may have been meant.
        instead: String,
    },
    /// What answers is no broker, or none for this client.
    #[error("no Kafka broker answers at {address}: {what}.")]
    NoKafka {
        /// As it was given.
        address: String,
        /// What it is, and what to do.
        what: &'static str,
    },
    /// A broker answers, and wants to be asked by a name that leads nowhere.
    #[error(
        "the broker at {brokers} answers, but wants to be reached as {advertised}, and that name leads nowhere from here ({reason}). \
         Correct the broker's `advertised.listeners`, or let the name be known here (DNS, or the hosts file)."
    )]
    Advertised {
        /// As they were given.
        brokers: String,
        /// What the broker tells.
        advertised: String,
        /// What the system said.
        reason: String,
        /// The name server is away for now.
        is_passing: bool,
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
    #[error("{}", offset_gone(topic, *partition, *wanted, *low, *high))]
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
    /// The broker does not let us read a topic any more.
    #[error(
        "the broker refuses to let us read {topic}: {reason}. Give this client the right to read and describe it, and start again."
    )]
    NotAllowed {
        /// The topic.
        topic: String,
        /// What librdkafka said.
        reason: String,
    },
    /// A topic is not the one that was read before.
    #[error(
        "{topic} is another topic than the one that was read before (its id is {is}, was {was}): it was deleted and made again. {NEW_DIRECTORY}"
    )]
    AnotherTopic {
        /// The topic.
        topic: String,
        /// Its id now, as Kafka's tools write it.
        is: String,
        /// Its id before.
        was: String,
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

/// What to do where offsets mean something else now.
const NEW_DIRECTORY: &str = "Begin a new data directory with --out.";

fn offset_gone(topic: &str, partition: i32, wanted: i64, low: i64, high: i64) -> String {
    let place = format!("{topic}/{partition}");
    if (0..low).contains(&wanted) {
        return format!(
            "{place}: offsets [{wanted}, {low}) are gone from the broker before they were read, {} records at most. Start again with \
             --accept-gap to go on behind them: the gap is recorded, and the minutes that it may have changed say that they are not complete. \
             Or begin a new data directory with --out.",
            low - wanted
        );
    }
    if wanted > high && high >= 0 {
        return format!(
            "{place} ends at offset {high}, but it was read up to {wanted}: the topic was deleted and made again, or cut, or it is another \
             one. {NEW_DIRECTORY}"
        );
    }
    format!("{place} does not hold offset {wanted}: the broker has [{low}, {high}). Start again.")
}

impl Failure for KafkaError {
    fn exit_code(&self) -> u8 {
        match self {
            KafkaError::Protected { .. }
            | KafkaError::NeedsTls { .. }
            | KafkaError::Property { .. }
            | KafkaError::NoAddress { .. }
            | KafkaError::Client { .. } => 2,
            KafkaError::Corrupt { .. } => 4,
            _ => 3,
        }
    }
}

/// The broker gave no answer to what was `asked`.
pub(super) fn unanswered(asked: &str, reason: impl std::fmt::Display) -> KafkaError {
    KafkaError::Unanswered { asked: asked.to_owned(), reason: reason.to_string() }
}
