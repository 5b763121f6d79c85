//! Signs: when a broadcast had an event, in one minute or at one instant.

use audience::{Kind, Ms};

/// The signs of one minute, or of one instant; `Ms::MAX` and `Ms::MIN` where there is no first and no last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signs {
    pub(crate) first: Ms,
    pub(crate) last: Ms,
    pub(crate) last_join: Ms,
    /// The first of each kind: kinds come by chance, and a place is found without a guess.
    firsts: [Ms; Kind::ALL.len()],
}

impl Signs {
    /// No signs.
    pub(crate) const NONE: Signs =
        Signs { first: Ms::MAX, last: Ms::MIN, last_join: Ms::MIN, firsts: [Ms::MAX; Kind::ALL.len()] };

    /// Signs of which the first and the last are known, and those of the joins, if there are any.
    pub(crate) fn of(first: Ms, last: Ms, joins: Option<(Ms, Ms)>) -> Signs {
        let mut signs = Signs { first, last, ..Signs::NONE };
        if let Some((first_join, last_join)) = joins {
            signs.firsts[Kind::Join as usize] = first_join;
            signs.last_join = last_join;
        }
        signs
    }

    /// The first of a kind.
    pub(crate) fn first_of(&self, kind: Kind) -> Ms {
        self.firsts[kind as usize]
    }

    /// The first and the last join, if there is one.
    pub(crate) fn joins(&self) -> Option<(Ms, Ms)> {
        (self.last_join > Ms::MIN).then_some((self.first_of(Kind::Join), self.last_join))
    }

    /// Adds one event.
    #[inline]
    pub(crate) fn hear(&mut self, kind: Kind, at: Ms) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let first = &mut self.firsts[kind as usize];
        *first = at.min(*first);
        self.last_join = self.last_join.max(if kind == Kind::Join { at } else { Ms::MIN });
    }

    /// Adds other signs.
    pub(crate) fn merge(&mut self, other: &Signs) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.last_join = self.last_join.max(other.last_join);
        self.firsts.iter_mut().zip(other.firsts).for_each(|(first, other)| *first = other.min(*first));
    }

    /// Without what lies before `at`, which lies in its minute. What came first from there on is not known: it counts
    /// as `at`, whatever there was before, so that equal timelines tell the same.
    pub(crate) fn cut(self, at: Ms) -> Signs {
        let joins = self.joins().filter(|(_, last)| *last >= at);
        Signs::of(at, self.last, joins.map(|(first, last)| (first.max(at), last)))
    }
}
