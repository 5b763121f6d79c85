//! Why an event could not be used, in the contract's words.

/// The reason for which an event was rejected: the first that applies, in the contract's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A record without a value, or with a blank one.
    Empty,
    /// Over 1 MiB.
    TooLarge,
    /// Not UTF-8.
    NotUtf8,
    /// One key twice in one object.
    RepeatedField,
    /// Not RFC 8259 JSON, nested too deep, or with half a surrogate pair.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// A required field is absent or null.
    MissingField,
    /// A field's value has another type than its own, or an integer is out of its range.
    WrongType,
    /// `type` is none of the five.
    UnknownType,
    /// An id of no bytes.
    EmptyId,
    /// An id of over 256 bytes.
    IdTooLong,
    /// `ts` is a string, but neither digits nor a date and a time.
    BadTimestamp,
    /// `ts` is outside [2000-01-01, 2100-01-01).
    TimestampOutOfRange,
    /// `ts` is further ahead of our clock than `future_max`.
    FromTheFuture,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 14] = [
        Reason::Empty,
        Reason::TooLarge,
        Reason::NotUtf8,
        Reason::RepeatedField,
        Reason::NotJson,
        Reason::NotAnObject,
        Reason::MissingField,
        Reason::WrongType,
        Reason::UnknownType,
        Reason::EmptyId,
        Reason::IdTooLong,
        Reason::BadTimestamp,
        Reason::TimestampOutOfRange,
        Reason::FromTheFuture,
    ];

    /// The word in the table `rejected`.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLarge => "too_large",
            Reason::NotUtf8 => "not_utf8",
            Reason::RepeatedField => "repeated_field",
            Reason::NotJson => "not_json",
            Reason::NotAnObject => "not_an_object",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::UnknownType => "unknown_type",
            Reason::EmptyId => "empty_id",
            Reason::IdTooLong => "id_too_long",
            Reason::BadTimestamp => "bad_timestamp",
            Reason::TimestampOutOfRange => "timestamp_out_of_range",
            Reason::FromTheFuture => "from_the_future",
        }
    }
}

/// The field that a rejection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The whole event.
    None,
    /// `type`
    Type,
    /// `broadcast_id`
    BroadcastId,
    /// `ts`
    Ts,
    /// `viewer_id`
    ViewerId,
    /// `session_id`
    SessionId,
    /// `via`
    Via,
    /// `tweet_id`
    TweetId,
    /// `user_id`
    UserId,
    /// `followers`
    Followers,
    /// `retweet_of`
    RetweetOf,
}

impl Field {
    /// The field's name on the wire; empty for the whole event.
    pub const fn word(self) -> &'static str {
        match self {
            Field::None => "",
            Field::Type => "type",
            Field::BroadcastId => "broadcast_id",
            Field::Ts => "ts",
            Field::ViewerId => "viewer_id",
            Field::SessionId => "session_id",
            Field::Via => "via",
            Field::TweetId => "tweet_id",
            Field::UserId => "user_id",
            Field::Followers => "followers",
            Field::RetweetOf => "retweet_of",
        }
    }
}

/// Why, and which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// Which field; [`Field::None`] where the reason is about the whole event.
    pub field: Field,
}

/// For people: the reason, and in brackets the field where there is one.
impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason.word())?;
        match self.field.word() {
            "" => Ok(()),
            field => write!(f, " ({field})"),
        }
    }
}

impl Rejection {
    /// A rejection of the whole event.
    pub const fn whole(reason: Reason) -> Rejection {
        Rejection { reason, field: Field::None }
    }

    /// A rejection for one field.
    pub const fn of(reason: Reason, field: Field) -> Rejection {
        Rejection { reason, field }
    }
}
