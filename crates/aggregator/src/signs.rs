//! Signs: when a broadcast had an event, in one minute or at one instant.

use audience::{Kind, Ms};

/// The signs of one minute, or of one instant; `Ms::MAX` and `Ms::MIN` where there is no first and no last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) first: Ms,
    pub(crate) last: Ms,
    pub(crate) first_join: Ms,
    pub(crate) last_join: Ms,
    pub(crate) first_heartbeat: Ms,
    pub(crate) first_leave: Ms,
    pub(crate) first_retweet: Ms,
}

impl Signs {
    /// No signs.
    pub(crate) const NONE: Signs = Signs {
        first: Ms::MAX,
        last: Ms::MIN,
        first_join: Ms::MAX,
        last_join: Ms::MIN,
        first_heartbeat: Ms::MAX,
        first_leave: Ms::MAX,
        first_retweet: Ms::MAX,
    };

    /// Adds one event.
    #[inline]
    pub(crate) fn hear(&mut self, kind: Kind, at: Ms) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        match kind {
            Kind::Join => {
                self.first_join = self.first_join.min(at);
                self.last_join = self.last_join.max(at);
            }
            Kind::Heartbeat => self.first_heartbeat = self.first_heartbeat.min(at),
            Kind::Leave => self.first_leave = self.first_leave.min(at),
            Kind::Retweet => self.first_retweet = self.first_retweet.min(at),
            Kind::End => {}
        }
    }

    /// Adds other signs.
    pub(crate) fn merge(&mut self, other: &Signs) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.first_join = self.first_join.min(other.first_join);
        self.last_join = self.last_join.max(other.last_join);
        self.first_heartbeat = self.first_heartbeat.min(other.first_heartbeat);
        self.first_leave = self.first_leave.min(other.first_leave);
        self.first_retweet = self.first_retweet.min(other.first_retweet);
    }

    /// Without what lies before `at`, which lies in its minute. What came first from there on is not known: it counts
    /// as `at`, whatever there was before, so that equal timelines tell the same.
    pub(crate) fn cut(mut self, at: Ms) -> Signs {
        self.first = at;
        if self.last_join < at {
            (self.first_join, self.last_join) = (Ms::MAX, Ms::MIN);
        }
        self.first_join = self.first_join.max(at);
        self
    }
}
