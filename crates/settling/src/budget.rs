//! The budget: what of the machine one settling may use. All who settle take theirs from the setting `memory` here, so
//! that what they hold together is weighed in one place.

use std::path::PathBuf;

/// What settling may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of events in memory; the rest spills. The ±1 of the curves at hand may take a quarter of it, and to be
    /// sorted as much again.
    pub events: usize,
    /// Bytes of rows that each thread keeps before it writes files of them.
    pub sink: usize,
    /// Threads that settle, `>= 1`.
    pub threads: usize,
    /// The folder of temporary files: for whoever writes a directory there, where its disk has room for such amounts;
    /// for whoever only reads one, the system's own, so that a run never waits for room because somebody looks.
    pub scratch: PathBuf,
}

impl Budget {
    /// For a settling beside which nothing else is held: half of `memory` for events, an eighth each for the curves at
    /// hand, for sorting them and for rows. The last eighth is left to buffers.
    pub fn alone(memory: u64, threads: usize, scratch: PathBuf) -> Budget {
        Budget::of(usize::try_from(memory).unwrap_or(usize::MAX), threads, scratch)
    }

    /// For a settling beside the live state of a run, whose lanes go on reading and may hold a quarter of `memory` in
    /// events that wait: half of what it would have alone. What an operator asks for has no more where no run is there,
    /// so that the files of its commit are the same.
    pub fn beside_live(memory: u64, threads: usize, scratch: PathBuf) -> Budget {
        Budget::of(usize::try_from(memory).unwrap_or(usize::MAX) / 2, threads, scratch)
    }

    fn of(memory: usize, threads: usize, scratch: PathBuf) -> Budget {
        let threads = threads.max(1);
        Budget { events: memory / 2, sink: memory / (8 * threads), threads, scratch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_a_run_it_is_half_of_what_it_is_alone() {
        let parts = |budget: Budget| (budget.events, budget.sink, budget.threads);
        let here = || PathBuf::from("here");
        assert_eq!(parts(Budget::alone(1 << 30, 4, here())), (512 << 20, 32 << 20, 4));
        assert_eq!(parts(Budget::beside_live(1 << 30, 4, here())), (256 << 20, 16 << 20, 4));
        assert_eq!(parts(Budget::alone(1 << 20, 0, here())), (512 << 10, 128 << 10, 1));
    }
}
