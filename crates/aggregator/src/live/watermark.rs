//! The watermark: the instant before which no event is awaited. Each partition has its own, which only grows; the live
//! curve stands at the least of them.

use audience::Ms;
use audience::time::{TS_END, TS_MIN};

/// What a partition is doing, as far as the watermark is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionState {
    /// Nothing has been read from it since the start: nobody knows what it brings, so it holds the watermark.
    #[default]
    Unread,
    /// It has been read from, and counts by its own watermark.
    Reading,
    /// A transaction is open at its end: what it hides is awaited.
    OpenTransaction,
    /// Read to its end, and quiet for so long that it is not waited for.
    Idle,
}

/// Why a partition holds the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Nothing has been read from it yet.
    Unread,
    /// A transaction is open at its end.
    OpenTransaction,
    /// It has been read from, without an accepted event so far, and is not idle.
    NoEvent,
    /// Its own watermark is the least.
    Least,
}

/// A partition that holds the watermark where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its number, as [`Watermarks::add`] gave it.
    pub partition: usize,
    /// Why it holds.
    pub why: Why,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    /// Before the lateness is taken off; `None` before the first accepted event.
    heard: Option<Ms>,
    /// The first that was heard.
    began: Option<Ms>,
    state: PartitionState,
}

/// The watermarks of all partitions, and the one of the live curve.
#[derive(Clone, Debug)]
pub struct Watermarks {
    lateness: Ms,
    partitions: Vec<Partition>,
    /// Where the live curve stands. It never goes back.
    stands: Option<Ms>,
}

impl Watermarks {
    /// No partitions yet; events may come `lateness` ms, `>= 0`, after younger ones.
    pub fn new(lateness: Ms) -> Watermarks {
        Watermarks { lateness, partitions: Vec::new(), stands: None }
    }

    /// Adds a partition, unread, and gives its number: 0, 1, 2, … `watermark` is its own of an earlier process, if it
    /// had one.
    pub fn add(&mut self, watermark: Option<Ms>) -> usize {
        let heard = watermark.map(|at| at + self.lateness);
        self.partitions.push(Partition { heard, began: heard, state: PartitionState::Unread });
        self.partitions.len() - 1
    }

    /// Goes on from where the live curve stood in an earlier process.
    pub fn stand_at(&mut self, watermark: Ms) {
        self.stands = self.stands.max(Some(watermark));
    }

    /// An accepted event of `partition`: its `ts`, its record's time, and our clock. An unread or idle partition is
    /// being read from now on.
    pub fn heard(&mut self, partition: usize, ts: Ms, record_time: Option<Ms>, now: Ms) {
        let record_time = record_time.filter(|at| (TS_MIN..TS_END).contains(at));
        let at = ts.min(record_time.unwrap_or(ts)).min(now);
        let known = &mut self.partitions[partition];
        known.heard = known.heard.max(Some(at));
        known.began = known.began.or(Some(at));
        if matches!(known.state, PartitionState::Unread | PartitionState::Idle) {
            known.state = PartitionState::Reading;
        }
    }

    /// Says what a partition is doing. Idle: its end has been reported, no transaction is open there, and nothing came
    /// for `idle_after`.
    pub fn set(&mut self, partition: usize, state: PartitionState) {
        self.partitions[partition].state = state;
    }

    /// What a partition is doing.
    pub fn state(&self, partition: usize) -> PartitionState {
        self.partitions[partition].state
    }

    /// A partition's own watermark; `None` before its first accepted event.
    pub fn of(&self, partition: usize) -> Option<Ms> {
        self.partitions[partition].heard.map(|at| at - self.lateness)
    }

    /// The watermark of the live curve, brought up to date; `None` where there is none yet.
    ///
    /// It is the least over the partitions that are not idle. Where all are idle nothing is awaited from any: it stands
    /// at the greatest of their own, as it would had that one gone idle last, so that a start on finished partitions
    /// does not depend on their order.
    pub fn least(&mut self) -> Option<Ms> {
        let mut awaited = self.partitions.iter().filter(|one| one.state != PartitionState::Idle).peekable();
        let least = if awaited.peek().is_none() {
            self.partitions.iter().filter_map(|one| one.heard).max()
        } else {
            // `None` is less than any instant: a partition without an event lets nothing pass.
            awaited.map(|one| one.heard).min().flatten()
        };
        self.stands = self.stands.max(least.map(|at| at - self.lateness));
        self.stands
    }

    /// Lets event time run on by `elapsed` ms of the caller's monotonic clock. It does so only while all partitions are
    /// idle.
    pub fn run_on(&mut self, elapsed: Ms) {
        if self.all_idle()
            && let Some(at) = self.least()
        {
            self.stands = Some(at + elapsed.max(0));
        }
    }

    /// Whether nothing is awaited from any partition.
    pub fn all_idle(&self) -> bool {
        self.partitions.iter().all(|one| one.state == PartitionState::Idle)
    }

    /// The partitions that are more than `max_drift` ms ahead, to be read no further for now: what they bring waits for
    /// the watermark, and takes memory until then.
    ///
    /// Ahead of what: of where the live curve stands, or of the least partition where that is further; before the curve
    /// stands anywhere, of the least instant at which any partition began. A partition of which nothing was heard holds
    /// the watermark, and so all others, too. Where none is awaited nobody is ahead of anybody.
    pub fn far_ahead(&self, max_drift: Ms) -> Vec<usize> {
        let ahead = self.ahead().into_iter();
        ahead.filter(|(_, ahead)| *ahead > max_drift).map(|(partition, _)| partition).collect()
    }

    /// How far the first partition is ahead, ms, as [`Watermarks::far_ahead`] measures it.
    pub fn spread(&self) -> Ms {
        self.ahead().into_iter().map(|(_, ahead)| ahead).max().unwrap_or(0).max(0)
    }

    /// How far each partition is ahead, ms; those that are behind have less than zero.
    fn ahead(&self) -> Vec<(usize, Ms)> {
        let awaited = || self.partitions.iter().filter(|one| one.state != PartitionState::Idle);
        if awaited().next().is_none() {
            return Vec::new();
        }
        let stands = self.stands.map(|at| at + self.lateness);
        // `None` is less than any instant: where one was not heard, the others are measured by what stands.
        let least = awaited().map(|one| one.heard).min().flatten();
        let Some(from) = stands.max(least).or_else(|| self.partitions.iter().filter_map(|one| one.began).min()) else {
            return Vec::new();
        };
        let heard = self.partitions.iter().enumerate().filter_map(|(partition, one)| Some((partition, one.heard?)));
        heard.map(|(partition, heard)| (partition, heard.saturating_sub(from))).collect()
    }

    /// Who holds the watermark where it stands: partitions without an event, else those whose own is the least. Empty
    /// where all are idle.
    pub fn holders(&self) -> Vec<Holder> {
        let awaited = || self.partitions.iter().enumerate().filter(|(_, one)| one.state != PartitionState::Idle);
        let least = awaited().map(|(_, one)| one.heard).min();
        let holding = awaited().filter(|(_, one)| Some(one.heard) == least);
        holding
            .map(|(partition, one)| Holder {
                partition,
                why: match one.state {
                    PartitionState::Unread => Why::Unread,
                    PartitionState::OpenTransaction => Why::OpenTransaction,
                    _ if one.heard.is_none() => Why::NoEvent,
                    _ => Why::Least,
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Ms = 1_459_711_860_000;

    fn read(lateness: Ms, partitions: usize) -> Watermarks {
        let mut marks = Watermarks::new(lateness);
        for partition in 0..partitions {
            assert_eq!(marks.add(None), partition);
            marks.set(partition, PartitionState::Reading);
        }
        marks
    }

    #[test]
    fn a_partition_counts_by_the_least_of_three_clocks() {
        for (ts, record, now, expected) in [
            (T, None, T + 9, T),
            (T, Some(T - 1), T + 9, T - 1),
            (T, Some(T + 1), T - 2, T - 2),
            (T, Some(-1), T + 9, T),
            (T, Some(TS_END), T + 9, T),
            (T, Some(0), T + 9, T),
        ] {
            let mut marks = read(30, 1);
            marks.heard(0, ts, record, now);
            assert_eq!(marks.least(), Some(expected - 30), "{ts} {record:?} {now}");
            marks.heard(0, ts - 1_000, None, now);
            assert_eq!(marks.of(0), Some(expected - 30), "it is monotone");
        }
    }

    #[test]
    fn who_holds_is_named() {
        let mut marks = read(0, 3);
        marks.set(1, PartitionState::Unread);
        marks.heard(0, T, None, T);
        marks.heard(2, T + 5, None, T + 5);
        assert_eq!(marks.least(), None);
        assert_eq!(marks.holders(), [Holder { partition: 1, why: Why::Unread }]);
        marks.set(1, PartitionState::OpenTransaction);
        assert_eq!(marks.least(), None);
        assert_eq!(marks.holders(), [Holder { partition: 1, why: Why::OpenTransaction }]);
        marks.set(1, PartitionState::Reading);
        assert_eq!(marks.holders(), [Holder { partition: 1, why: Why::NoEvent }]);
        marks.set(1, PartitionState::Idle);
        assert_eq!(marks.least(), Some(T), "a partition that never has an event holds nothing once idle");
        assert_eq!(marks.holders(), [Holder { partition: 0, why: Why::Least }]);
        marks.heard(1, T - 100, None, T);
        assert_eq!(marks.state(1), PartitionState::Reading);
        assert_eq!(marks.least(), Some(T), "it never goes back");
        assert_eq!(marks.holders(), [Holder { partition: 1, why: Why::Least }]);
    }

    /// One line a partition: its state (`?` unread, `.` reading, `t` transaction, `-` idle), what was heard first and
    /// last, in s, and whether it is held back at a drift of 60 s. Above them where the live curve stands, if it does.
    fn drift(stands: Option<Ms>, drawing: &str) {
        let mut marks = Watermarks::new(10_000);
        let mut expected = Vec::new();
        for line in drawing.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let state = words.next();
            let partition = marks.add(None);
            for word in words {
                match word.parse::<Ms>() {
                    Ok(second) => marks.heard(partition, T + second * 1_000, None, Ms::MAX),
                    Err(_) => expected.push(partition),
                }
            }
            marks.set(
                partition,
                match state {
                    Some("?") => PartitionState::Unread,
                    Some("t") => PartitionState::OpenTransaction,
                    Some("-") => PartitionState::Idle,
                    _ => PartitionState::Reading,
                },
            );
        }
        stands.into_iter().for_each(|at| marks.stand_at(T + at * 1_000 - 10_000));
        assert_eq!(marks.far_ahead(60_000), expected, "{drawing}");
    }

    #[test]
    fn who_is_far_ahead_is_held_back() {
        // Of the least that is awaited.
        drift(None, ". 0 10\n . 0 70\n . 0 71 held");
        drift(None, "- 0 10\n . 0 70\n . 0 71");
        // An unread partition, or one that hides a transaction, holds all: they may go on from where they began, and no
        // further.
        drift(None, "?\n . 0 60\n . 5 61 held");
        drift(None, "t\n . 0 60\n - 5 61 held");
        drift(None, ".\n . 0 61 held");
        drift(Some(100), "?\n . 0 160\n . 5 161 held");
        // Behind the curve is late, and holds nobody: what is ahead of the curve does.
        drift(Some(100), ". 0 10\n . 0 160\n . 0 161 held");
        // Nobody is awaited.
        drift(Some(100), "- 0 10\n - 0 900");
        drift(None, "?\n ?");
        let mut marks = Watermarks::new(10_000);
        assert_eq!(marks.spread(), 0);
        for second in [10, 5, 70] {
            let partition = marks.add(None);
            marks.heard(partition, T + second * 1_000, None, Ms::MAX);
            marks.set(partition, PartitionState::Reading);
        }
        assert_eq!((marks.spread(), marks.far_ahead(64_999), marks.far_ahead(65_000)), (65_000, vec![2], vec![]));
    }

    /// A reader that obeys never holds more than `max_drift` and what one look brings, and never stands still for ever.
    #[test]
    fn what_waits_is_bounded_and_all_is_read() {
        let (drift, look) = (60_000, 5_000);
        for (seed, silent_for) in (0..60).flat_map(|seed| [(seed, 0), (seed, 200)]) {
            let mut state = seed * 77 + 1;
            let mut random = move |below: u64| {
                state = u64::wrapping_mul(state, 6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) % below).cast_signed()
            };
            // Each has events up to its end, second by second from its own start; the first is not heard for some
            // looks.
            let mut marks = Watermarks::new(10_000);
            let mut at: Vec<Ms> = (0..3).map(|_| T + random(100) * 1_000).collect();
            let ends: Vec<Ms> = at.iter().map(|at| at + 1_000 * random(900)).collect();
            for _ in 0..3 {
                marks.add(None);
            }
            let mut looks = 0;
            while (0..3).any(|one| at[one] < ends[one]) {
                looks += 1;
                assert!(looks < 10_000, "it stands still: {at:?} of {ends:?}");
                let far = marks.far_ahead(drift);
                for one in (0..3).filter(|one| !far.contains(one) && (*one > 0 || looks > silent_for)) {
                    at[one] = (at[one] + random(3) * look / 2).min(ends[one]);
                    marks.heard(one, at[one], None, Ms::MAX);
                    let is_over = at[one] == ends[one];
                    marks.set(one, if is_over { PartitionState::Idle } else { PartitionState::Reading });
                }
                let began = marks.partitions.iter().filter_map(|one| one.began).min();
                let from = marks.least().map(|at| at + 10_000).max(began).unwrap_or(Ms::MAX);
                let most =
                    at.iter().zip(&marks.partitions).filter(|(_, one)| one.heard.is_some()).map(|(at, _)| *at).max();
                let waits = most.unwrap_or(Ms::MIN).saturating_sub(from);
                // They begin up to 100 s apart, and where the first begins nobody knows before it is heard.
                assert!(waits <= drift + look + 100_000, "{waits} ms wait");
            }
        }
    }

    #[test]
    fn event_time_runs_on_only_while_all_are_idle() {
        let mut marks = read(10, 2);
        marks.set(0, PartitionState::Idle);
        marks.set(1, PartitionState::Idle);
        marks.run_on(500);
        assert_eq!(marks.least(), None, "no partition ever had an event");
        marks.heard(0, T, None, T);
        marks.heard(1, T + 100, None, T + 100);
        assert_eq!(marks.least(), Some(T - 10));
        marks.run_on(500);
        assert_eq!(marks.least(), Some(T - 10));
        marks.set(0, PartitionState::Idle);
        marks.set(1, PartitionState::Idle);
        assert_eq!(marks.least(), Some(T + 90), "whichever went idle first");
        marks.run_on(500);
        marks.run_on(500);
        assert_eq!(marks.least(), Some(T + 1_090));
        assert_eq!(marks.holders(), []);
        marks.heard(0, T + 200, None, T + 200);
        assert_eq!(marks.least(), Some(T + 1_090));
        marks.heard(0, T + 2_000, None, T + 2_000);
        assert_eq!(marks.least(), Some(T + 1_990));
    }

    #[test]
    fn a_restart_goes_on_where_it_stood() {
        let mut marks = Watermarks::new(10);
        marks.add(Some(T));
        marks.add(None);
        marks.stand_at(T - 5);
        assert_eq!((marks.of(0), marks.least()), (Some(T), Some(T - 5)));
        marks.set(1, PartitionState::Idle);
        assert_eq!(marks.least(), Some(T));
        assert_eq!(marks.holders(), [Holder { partition: 0, why: Why::Unread }]);
    }
}
