//! The gaps of the input as the live curve knows them, and what they leave open: of each broadcast the sessions that
//! were open when a gap ended. Their ends are told by the lanes; that they opened is told by the ±1.

use super::state::{ExposedState, GapState};
use crate::complete::{Gap, LostBeginning, Span};
use crate::curve::{is_join, packed_at};
use audience::Ms;

/// The end of a session that was open at a gap, as a lane tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedSession {
    pub(crate) broadcast: u32,
    pub(crate) joined_at: Ms,
    pub(crate) left_at: Ms,
}

/// All gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveGaps {
    /// By number, without the beginnings.
    spans: Vec<Span>,
    /// Not kept in a snapshot: it is told again at each start.
    beginning: LostBeginning,
}

/// What the gaps left open in one broadcast, by number of the gap; a gap without a place here left nothing open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposed(Vec<Left>);

/// The sessions that were open when one gap ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    /// How many of these sessions still are open.
    open: i64,
    /// The latest end of those that are open no more.
    until: Option<Ms>,
}

impl LiveGaps {
    /// Takes the gaps as they are known now: those known before, in their order, and new ones behind them. Gives the
    /// numbers of those whose end is known only now: what is open at the watermark was open then.
    pub(crate) fn set(&mut self, gaps: &[Gap], watermark: Ms) -> Vec<usize> {
        let mut ended = Vec::new();
        self.beginning = LostBeginning::of(gaps.iter().copied());
        for (number, gap) in gaps.iter().filter(|gap| !gap.is_beginning).enumerate() {
            let mut span = Span::of(*gap);
            let is_known = self.spans.get(number).is_some_and(|known| known.to < Ms::MAX);
            if is_known {
                continue;
            }
            if span.to < Ms::MAX {
                // What the watermark has passed takes effect at the watermark, as a late event does.
                span.to = span.to.max(watermark);
                ended.push(number);
            }
            match self.spans.get_mut(number) {
                Some(known) => *known = span,
                None => self.spans.push(span),
            }
        }
        ended
    }

    /// Up to where a session's start must be known when it ends; `Ms::MIN` where there is no gap.
    pub(crate) fn latest(&self) -> Ms {
        self.spans.iter().map(|span| span.to).filter(|to| *to < Ms::MAX).max().unwrap_or(Ms::MIN)
    }

    /// Whether an airing may have begun in what was lost, before which its broadcast was silent from `quiet_from` on.
    pub(crate) fn had(&self, quiet_from: Ms) -> bool {
        self.beginning.had(quiet_from)
    }

    /// Whether no session can have been open at a gap.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(crate) fn state(&self) -> Vec<GapState> {
        self.spans.iter().map(|span| GapState { from: span.from, to: span.to }).collect()
    }

    pub(crate) fn restore(state: &[GapState]) -> LiveGaps {
        let spans = state.iter().map(|one| Span { from: one.from, to: one.to }).collect();
        LiveGaps { spans, beginning: LostBeginning::default() }
    }
}

impl Exposed {
    /// A gap's end has become known, and so many sessions are open.
    pub(crate) fn begin(&mut self, gap: usize, open: i64) {
        *self.left(gap) = Left { open, until: None };
    }

    fn left(&mut self, gap: usize) -> &mut Left {
        if gap >= self.0.len() {
            self.0.resize(gap + 1, Left::default());
        }
        &mut self.0[gap]
    }

    /// A round of one broadcast, from the watermark `before`: its sorted changes, and the sessions that ended.
    pub(crate) fn take(&mut self, gaps: &LiveGaps, before: Ms, changes: &[u64], ended: &[EndedSession]) {
        for (number, span) in gaps.spans.iter().enumerate() {
            if before < span.to && span.to < Ms::MAX {
                let until = changes.partition_point(|change| packed_at(*change) < span.to);
                let joined = changes[..until].iter().filter(|change| is_join(**change)).count();
                if joined > 0 {
                    self.left(number).open += i64::try_from(joined).unwrap_or(i64::MAX);
                }
            }
            for one in ended.iter().filter(|one| one.joined_at < span.to && span.to < Ms::MAX) {
                let left = self.left(number);
                left.open -= 1;
                if one.left_at >= span.to {
                    left.until = left.until.max(Some(one.left_at));
                }
            }
        }
    }

    /// Whether a minute that closes now is complete.
    pub(crate) fn is_complete(&self, gaps: &LiveGaps, minute_at: Ms) -> bool {
        !gaps.spans.iter().enumerate().any(|(number, span)| {
            let left = self.0.get(number).copied().unwrap_or_default();
            let until = if left.open > 0 { Ms::MAX } else { left.until.unwrap_or(Ms::MIN) };
            span.spoils(minute_at, until)
        })
    }

    pub(crate) fn state(&self, broadcast: u32) -> impl Iterator<Item = ExposedState> + '_ {
        let left = (0..).zip(&self.0).filter(|(_, left)| **left != Left::default());
        left.map(move |(gap, left)| ExposedState { broadcast, gap, open: left.open, until: left.until })
    }

    pub(crate) fn restore(&mut self, state: &ExposedState) {
        *self.left(state.gap as usize) = Left { open: state.open, until: state.until };
    }
}
