//! Completeness: which minutes of a curve are whole though the input has gaps. A gap lies between two accepted events
//! of a partition, the last before it and the first after it. A minute is incomplete where a gap lies in it, and after
//! that for as long as a session is open that was open when the gap ended. Where a partition has lost its beginning,
//! an airing that is there soon after may have begun before, so all of it is incomplete. Which broadcast the lost
//! events were of nobody knows, so a gap is one of all broadcasts.

use audience::Ms;
use audience::time::minute_of;
use std::sync::Arc;

/// What was lost of the input, by the event times on both its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// `ts` of the partition's last accepted event before it; `None` where there was none.
    pub before: Option<Ms>,
    /// `ts` of the partition's first accepted event after it; `None` while none has come.
    pub after: Option<Ms>,
    /// It is the partition's beginning, which was gone before anybody read it.
    pub is_beginning: bool,
}

/// A gap in event time: the minutes from the one that starts at `from` to the one that holds `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// A minute's first ms; `Ms::MIN` where it is not known.
    pub(crate) from: Ms,
    /// `Ms::MAX` where it is not known.
    pub(crate) to: Ms,
}

impl Span {
    pub(crate) fn of(gap: Gap) -> Span {
        // Events come out of order, so the one after it may be the older one.
        let from = gap.before.map_or(Ms::MIN, |before| minute_of(gap.after.map_or(before, |after| after.min(before))));
        Span { from, to: gap.after.map_or(Ms::MAX, |after| after.max(gap.before.unwrap_or(after))) }
    }

    /// Whether a session [`joined_at`, `left_at`) was open when the gap ended.
    fn had(self, joined_at: Ms, left_at: Ms) -> bool {
        joined_at < self.to && self.to <= left_at
    }

    /// Whether it makes a minute incomplete, where the last of the sessions that were open at its end left at `until`.
    pub(crate) fn spoils(self, minute_at: Ms, until: Ms) -> bool {
        self.from <= minute_at && (minute_at <= self.to || minute_at < until)
    }
}

/// Up to where airings may have begun in what was lost: the first event of a partition that has lost its beginning, of
/// several the latest, `Ms::MAX` while one has none; `None` where no beginning was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostBeginning(Option<Ms>);

impl LostBeginning {
    pub(crate) fn of(gaps: impl IntoIterator<Item = Gap>) -> LostBeginning {
        let beginnings = gaps.into_iter().filter(|gap| gap.is_beginning);
        LostBeginning(beginnings.map(|gap| gap.after.unwrap_or(Ms::MAX)).max())
    }

    /// Whether an airing may have begun in it, before which nothing is known of its broadcast from `quiet_from` on.
    pub(crate) fn had(self, quiet_from: Ms) -> bool {
        self.0.is_some_and(|first| quiet_from < first)
    }
}

/// The gaps of an input. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Without the beginnings.
    spans: Arc<[Span]>,
    beginning: LostBeginning,
}

impl FromIterator<Gap> for Gaps {
    /// Gaps may come in any order. What overlaps is one: a session that outlives the earlier one's end is open at the
    /// later one's, or has ended between.
    fn from_iter<I: IntoIterator<Item = Gap>>(gaps: I) -> Gaps {
        let gaps: Vec<Gap> = gaps.into_iter().collect();
        let mut spans: Vec<Span> = gaps.iter().filter(|gap| !gap.is_beginning).map(|gap| Span::of(*gap)).collect();
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => merged.push(span),
            }
        }
        Gaps { spans: merged.into(), beginning: LostBeginning::of(gaps) }
    }
}

impl Gaps {
    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.beginning == LostBeginning::default()
    }
}

/// Which minutes of one airing are complete. It hears of the airing's sessions in any order, and adds up over any split
/// of them.
#[derive(Clone, Debug, Default)]
pub struct Completeness {
    gaps: Gaps,
    /// By gap: the latest `left_at` of the sessions that were open when it ended.
    until: Vec<Ms>,
    /// It may have begun in what was lost.
    has_lost_beginning: bool,
}

impl Completeness {
    /// An airing without sessions, before which its broadcast was silent from `quiet_from` on.
    pub fn new(gaps: &Gaps, quiet_from: Ms) -> Completeness {
        let (until, has_lost_beginning) = (vec![Ms::MIN; gaps.spans.len()], gaps.beginning.had(quiet_from));
        Completeness { gaps: gaps.clone(), until, has_lost_beginning }
    }

    /// Hears of a session.
    pub fn session(&mut self, joined_at: Ms, left_at: Ms) {
        let first = self.gaps.spans.partition_point(|span| span.to <= joined_at);
        for (span, until) in self.gaps.spans.iter().zip(&mut self.until).skip(first) {
            if !span.had(joined_at, left_at) {
                break;
            }
            *until = left_at.max(*until);
        }
    }

    /// Adds what another part of the same airing's sessions told.
    pub fn merge(&mut self, other: &Completeness) {
        self.until.iter_mut().zip(&other.until).for_each(|(until, other)| *until = (*until).max(*other));
    }

    /// Whether nothing that was lost can have been of the minute, or have left a session open in it. Asked once all
    /// sessions are heard.
    pub fn is_complete(&self, minute_at: Ms) -> bool {
        let spans = || self.gaps.spans.iter().zip(&self.until);
        !self.has_lost_beginning && !spans().any(|(span, until)| span.spoils(minute_at, *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::MINUTE_MS;

    const T: Ms = 1_459_711_860_000;

    /// Sessions as runs of `=`, one column a minute, the gaps below them as `<` and `>` for the events on their sides
    /// (`|` for both), and below that what is complete. A mark stands for the 30th second of its minute.
    fn check(drawing: &str) {
        let lines: Vec<&str> = drawing.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
        let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
        let at = |column: usize| T + i64::try_from(column).unwrap() * MINUTE_MS + MINUTE_MS / 2;
        let (mut gaps, mut sessions, mut expected) = (Vec::new(), Vec::new(), "");
        for line in lines.iter().map(|line| &line[margin..]) {
            if line.contains('=') {
                let mut first = 0;
                for run in line.split(' ') {
                    sessions.extend((!run.is_empty()).then(|| (at(first), at(first + run.len() - 1))));
                    first += run.len() + 1;
                }
            } else if line.contains(['<', '>', '|']) {
                let side = |mark: char| line.find(mark).or(line.find('|')).map(at);
                gaps.push(Gap { before: side('<'), after: side('>'), is_beginning: false });
            } else {
                expected = line;
            }
        }
        let gaps: Gaps = gaps.into_iter().collect();
        // Whatever the split and the order.
        let mut parts = [Completeness::new(&gaps, T), Completeness::new(&gaps, T)];
        for (number, (joined_at, left_at)) in sessions.into_iter().enumerate() {
            parts[number % 2].session(joined_at, left_at);
        }
        let [one, mut two] = parts;
        two.merge(&one);
        let found: String = (0..expected.len())
            .map(|column| if two.is_complete(at(column) - MINUTE_MS / 2) { '+' } else { '-' })
            .collect();
        assert_eq!(found, expected, "{drawing}");
    }

    #[test]
    fn without_a_gap_all_is_complete() {
        check(
            "
            ====
             =====
            ++++++",
        );
    }

    #[test]
    fn a_gap_spoils_its_minutes_and_those_of_the_sessions_that_were_open_at_its_end() {
        check(
            "
              ==
            ======
               =========
                    =====
                <  >
            ++++--------+",
        );
        check(
            "
            ===
                  =====
             <   >
            +-----+++++",
        );
    }

    #[test]
    fn a_session_that_joins_with_the_event_after_the_gap_was_not_open_at_it() {
        check(
            "
               =====
            <  >
            ----++++",
        );
    }

    #[test]
    fn an_unknown_side_reaches_to_the_end() {
        check(
            "
            ==  ===
              <
            ++-----",
        );
        check(
            "
            ===  ==
              >
            ---++++",
        );
    }

    #[test]
    fn gaps_that_overlap_are_one_and_others_are_not() {
        check(
            "
            ====
                  =====  =
              <   >
                <    >
            ++---------+++",
        );
        check(
            "
            ===      ===
             |
                      |
            +--+++++++--",
        );
    }

    #[test]
    fn the_event_after_a_gap_may_be_the_older_one() {
        check(
            "
            =========
               >  <
            +++------",
        );
    }

    #[test]
    fn an_airing_that_may_have_begun_in_a_lost_beginning_is_complete_nowhere_and_others_are() {
        let lost = |after: Option<Ms>| Gap { before: None, after, is_beginning: true };
        let complete = |gaps: &[Gap], quiet_from: Ms| {
            let gaps: Gaps = gaps.iter().copied().collect();
            assert!(!gaps.is_empty());
            let mut heard = Completeness::new(&gaps, quiet_from);
            heard.session(T, T + MINUTE_MS);
            (0..9).map(|minute| heard.is_complete(T + minute * MINUTE_MS)).collect::<Vec<_>>()
        };
        // Silent since before the first event that is kept, by 1 ms or not.
        assert_eq!(complete(&[lost(Some(T))], T - 1), [false; 9]);
        assert_eq!(complete(&[lost(Some(T))], T), [true; 9]);
        // Of several partitions the latest first event counts; of one without an event nothing is known.
        assert_eq!(complete(&[lost(Some(T + 5)), lost(Some(T))], T + 4), [false; 9]);
        assert_eq!(complete(&[lost(Some(T)), lost(None)], T + MINUTE_MS), [false; 9]);
        // A gap elsewhere is one beside it.
        let gap = Gap { before: Some(T + 2 * MINUTE_MS), after: Some(T + 3 * MINUTE_MS), is_beginning: false };
        assert_eq!(complete(&[lost(Some(T)), gap], T)[..5], [true, true, false, false, true]);
    }

    #[test]
    fn random_sessions_and_gaps_are_as_the_definition_says() {
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below).cast_signed()
        };
        for _ in 0..2_000 {
            let mut at = || (random(10) > 0).then(|| T + random(20) * MINUTE_MS / 2);
            let gaps: Vec<Gap> = (0..3).map(|_| Gap { before: at(), after: at(), is_beginning: false }).collect();
            let sessions: Vec<(Ms, Ms)> = (0..4)
                .map(|_| (T + random(20) * 30_000, random(8) * 30_000))
                .map(|(joined_at, stay)| (joined_at, joined_at + stay))
                .collect();
            let mut completeness = Completeness::new(&gaps.iter().copied().collect(), T);
            sessions.iter().for_each(|(joined_at, left_at)| completeness.session(*joined_at, *left_at));
            for minute in 0..14 {
                let minute_at = T + minute * MINUTE_MS;
                let is_lost = |gap: &Gap| {
                    let known = [gap.before, gap.after].into_iter().flatten();
                    let from = gap.before.and(known.clone().min()).map_or(Ms::MIN, minute_of);
                    let to = gap.after.and(known.max()).unwrap_or(Ms::MAX);
                    let open = sessions
                        .iter()
                        .any(|(joined_at, left_at)| *joined_at < to && to <= *left_at && minute_at < *left_at);
                    minute_at >= from && (minute_at <= to || open)
                };
                let expected = !gaps.iter().any(is_lost);
                assert_eq!(completeness.is_complete(minute_at), expected, "{gaps:?} {sessions:?} {minute}");
            }
        }
    }
}
