//! An event: one join, leave, heartbeat, retweet or end, as plain numbers.

use crate::Ms;

/// Value of [`Event::detail`] for an event that has no strings of its own.
pub const NO_DETAIL: u32 = u32::MAX;

/// What happened. The order is the order in which a closed session takes the events of one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A viewer came.
    Join = 0,
    /// A viewer gave a sign of life.
    Heartbeat = 1,
    /// A viewer went.
    Leave = 2,
    /// Somebody passed the broadcast on.
    Retweet = 3,
    /// The broadcast ended.
    End = 4,
}

impl Kind {
    /// All kinds, in their order.
    pub const ALL: [Kind; 5] = [Kind::Join, Kind::Heartbeat, Kind::Leave, Kind::Retweet, Kind::End];

    /// The word of the wire form.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Join => "join",
            Kind::Heartbeat => "heartbeat",
            Kind::Leave => "leave",
            Kind::Retweet => "retweet",
            Kind::End => "end",
        }
    }

    /// The kind of a word of the wire form.
    pub fn of_word(word: &str) -> Option<Kind> {
        match word {
            "join" => Some(Kind::Join),
            "heartbeat" => Some(Kind::Heartbeat),
            "leave" => Some(Kind::Leave),
            "retweet" => Some(Kind::Retweet),
            "end" => Some(Kind::End),
            _ => None,
        }
    }
}

/// One accepted event in 48 bytes. Its order is (broadcast, viewer, session, ts, kind), the order in which events are
/// settled.
///
/// A retweet carries a fingerprint of its `tweet_id` as `viewer`, so that equal tweets lie together, and 0 as
/// `session`; an end has 0 as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Keyed pseudonym of the viewer.
    pub viewer: u128,
    /// Keyed pseudonym of the session; that of the viewer where the event names no session.
    pub session: u128,
    /// `ts << 3 | kind`: one comparison orders by time, then by kind.
    pub(crate) when: u64,
    /// Number of the broadcast in this process's registry.
    pub broadcast: u32,
    /// Place of the event's strings in the [`Details`](crate::Details) of its batch, or [`NO_DETAIL`].
    pub detail: u32,
}

impl Event {
    /// An event of `kind` at `ts`, ms since the Unix epoch, in [2000-01-01, 2100-01-01).
    pub fn new(kind: Kind, broadcast: u32, viewer: u128, session: u128, ts: Ms, detail: u32) -> Event {
        Event { viewer, session, when: ts.cast_unsigned() << 3 | kind as u64, broadcast, detail }
    }

    /// When it happened, by its producer's clock.
    pub fn ts(&self) -> Ms {
        (self.when >> 3).cast_signed()
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        match self.when & 7 {
            0 => Kind::Join,
            1 => Kind::Heartbeat,
            2 => Kind::Leave,
            3 => Kind::Retweet,
            _ => Kind::End,
        }
    }

    /// `ts` and kind as one number that orders by time, then by kind.
    pub fn when(&self) -> u64 {
        self.when
    }

    /// The same event with another time: a late event takes effect at the watermark.
    #[must_use]
    pub fn at(self, ts: Ms) -> Event {
        Event::new(self.kind(), self.broadcast, self.viewer, self.session, ts, self.detail)
    }
}

impl Event {
    /// Broadcast and most of the viewer as one number: it decides nearly every comparison.
    fn prefix(&self) -> u128 {
        u128::from(self.broadcast) << 96 | self.viewer >> 32
    }
}

impl Ord for Event {
    #[inline]
    fn cmp(&self, other: &Event) -> std::cmp::Ordering {
        let rest = |event: &Event| (event.viewer, event.session, event.when);
        self.prefix().cmp(&other.prefix()).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl PartialOrd for Event {
    #[inline]
    fn partial_cmp(&self, other: &Event) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Event) -> bool {
        let (a, b) = (self.prefix(), other.prefix());
        if a == b { self.cmp(other).is_lt() } else { a < b }
    }
}

const _: () = assert!(size_of::<Event>() == 48, "batches of events are sized by this");
