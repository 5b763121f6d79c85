//! A doubt is that a partition holds no events at all: most of the first records that a run reads of it are rejected.
//! It is said once for each kind, with what they seem to be, before weeks of them lie in `rejected`.

use audience::{Guise, Rejection};
use exporter::PAYLOAD_MAX;
use problem::typed;
use std::collections::BTreeMap;

/// So many records of a partition are its first.
const FIRST: u64 = 100;

/// What most of the first records are rejected for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt {
    pub(super) rejection: Rejection,
    pub(super) guise: Option<Guise>,
}

/// The first records of a partition.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub(super) read: u64,
    pub(super) rejected: u64,
    doubts: BTreeMap<Doubt, u64>,
}

impl Beginning {
    /// A record was read, and rejected for this, if it was.
    pub(super) fn take(&mut self, value: &[u8], rejection: Option<Rejection>) {
        if self.read == FIRST {
            return;
        }
        self.read += 1;
        if let Some(rejection) = rejection {
            self.rejected += 1;
            let guise = Guise::of(&value[..value.len().min(PAYLOAD_MAX)]);
            *self.doubts.entry(Doubt { rejection, guise }).or_default() += 1;
        }
    }

    /// Whether more of the first may come.
    pub(super) fn is_read_on(&self) -> bool {
        self.read < FIRST
    }

    /// The doubt, once all of the first are read, or all that there are; it is given once.
    pub(super) fn doubt(&mut self, is_at_end: bool) -> Option<Doubt> {
        if self.rejected * 2 <= self.read || self.read < FIRST && !is_at_end {
            return None;
        }
        let doubts = std::mem::take(&mut self.doubts);
        doubts.into_iter().max_by_key(|(_, count)| *count).map(|(doubt, _)| doubt)
    }
}

impl Doubt {
    /// In words, of a partition of which so many records were read and so many of them rejected; they are in `out`.
    pub(super) fn told(&self, partition: &str, (read, rejected): (u64, u64), out: &str) -> String {
        let Doubt { rejection, guise } = self;
        let guise = guise.as_ref().map_or_else(String::new, |guise| format!(" They seem to be {guise}."));
        format!(
            "Of the first {read} records that were read of {partition}, {rejected} are rejected, most for {rejection}.{guise} \
             They are kept; see them: jauge rejected {}",
            typed(out)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::Reason;

    #[test]
    fn a_doubt_is_given_once_and_only_where_most_are_rejected() {
        let rejection = Some(Rejection::whole(Reason::NotJson));
        let mut beginning = Beginning::default();
        beginning.take(b"{\"type\"", None);
        assert_eq!(beginning.doubt(true), None);
        beginning.take(b"[", rejection);
        assert_eq!(beginning.doubt(true), None, "half of them");
        beginning.take(b"[", rejection);
        assert_eq!(beginning.doubt(false), None, "more may come");
        let doubt = beginning.doubt(true).expect("two of three");
        assert_eq!(doubt.guise, Some(Guise::Array));
        assert!(
            doubt
                .told("t/0", (3, 2), "out")
                .ends_with("a line of its own. They are kept; see them: jauge rejected out")
        );
        assert_eq!(beginning.doubt(true), None, "once");
        (0..200).for_each(|_| beginning.take(b"[", rejection));
        assert_eq!((beginning.read, beginning.rejected), (100, 99));
    }
}
