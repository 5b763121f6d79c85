//! A misfit is what a partition seems to hold where it holds no events: most of the first records that a run reads of
//! it are rejected. It is said once for each kind, with what they seem to be, before weeks of them lie in `rejected`.

use audience::{Guise, Rejection};
use exporter::PAYLOAD_MAX;
use problem::in_shell;
use std::collections::BTreeMap;

/// So many records of a partition are its first.
const FIRST: u64 = 100;

/// What most of the first records are rejected for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Misfit {
    pub(super) rejection: Rejection,
    pub(super) guise: Option<Guise>,
}

/// The first records of a partition.
#[derive(Debug, Default)]
pub(super) struct FirstRecords {
    pub(super) read: u64,
    pub(super) rejected: u64,
    misfits: BTreeMap<Misfit, u64>,
}

impl FirstRecords {
    /// A record was read, and rejected for this, if it was.
    pub(super) fn take(&mut self, value: &[u8], rejection: Option<Rejection>) {
        if self.read == FIRST {
            return;
        }
        self.read += 1;
        if let Some(rejection) = rejection {
            self.rejected += 1;
            let guise = Guise::of(&value[..value.len().min(PAYLOAD_MAX)]);
            *self.misfits.entry(Misfit { rejection, guise }).or_default() += 1;
        }
    }

    /// Whether more of the first may come.
    pub(super) fn is_read_on(&self) -> bool {
        self.read < FIRST
    }

    /// What they seem to be, once all of the first are read, or all that there are; it is given once.
    pub(super) fn misfit(&mut self, is_at_end: bool) -> Option<Misfit> {
        if self.rejected * 2 <= self.read || self.read < FIRST && !is_at_end {
            return None;
        }
        let misfits = std::mem::take(&mut self.misfits);
        misfits.into_iter().max_by_key(|(_, count)| *count).map(|(misfit, _)| misfit)
    }
}

impl Misfit {
    /// In words, of a partition of which so many records were read and so many of them rejected; they are in `out`.
    pub(super) fn told(&self, partition: &str, (read, rejected): (u64, u64), out: &str) -> String {
        let Misfit { rejection, guise } = self;
        let guise = guise.as_ref().map_or_else(String::new, |guise| format!(" They seem to be {guise}."));
        format!(
            "Of the first {read} records that were read of {partition}, {rejected} are rejected, most for {rejection}.{guise} \
             They are kept; see them: jauge rejected {}",
            in_shell(out)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::Reason;

    #[test]
    fn a_misfit_is_given_once_and_only_where_most_are_rejected() {
        let rejection = Some(Rejection::whole(Reason::NotJson));
        let mut beginning = FirstRecords::default();
        beginning.take(b"{\"type\"", None);
        assert_eq!(beginning.misfit(true), None);
        beginning.take(b"[", rejection);
        assert_eq!(beginning.misfit(true), None, "half of them");
        beginning.take(b"[", rejection);
        assert_eq!(beginning.misfit(false), None, "more may come");
        let misfit = beginning.misfit(true).expect("two of three");
        assert_eq!(misfit.guise, Some(Guise::Array));
        assert!(
            misfit
                .told("t/0", (3, 2), "out")
                .ends_with("a line of its own. They are kept; see them: jauge rejected out")
        );
        assert_eq!(beginning.misfit(true), None, "once");
        (0..200).for_each(|_| beginning.take(b"[", rejection));
        assert_eq!((beginning.read, beginning.rejected), (100, 99));
    }
}
