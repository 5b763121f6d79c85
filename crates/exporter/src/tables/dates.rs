//! A date partition is the rows of one UTC day: here rows are put in their table's order and cut into days.

use super::corrections::CorrectionRow;
use super::events::LoggedEvent;
use super::rejected::RejectedRow;
use audience::time::day_of;
use audience::{AiringRow, Detail, Details, MinuteRow, Ms, RetweetRow, SessionRow};
use std::cmp::Ordering;
use std::sync::Arc;

/// Sorts airings by (broadcast_id, airing_at) within the UTC day of `airing_at`, and gives each day, counted from
/// 1970-01-01, with its rows, days ascending. `names` gives the id of each broadcast by its number.
pub fn airings_by_date<'a>(
    rows: &'a mut [AiringRow],
    names: &[Arc<str>],
) -> impl Iterator<Item = (i64, &'a [AiringRow])> + use<'a> {
    let ranks = Ranks::of(rows.iter().map(|row| row.broadcast), names);
    let key = |row: &AiringRow| (day_of(row.airing_at), ranks.get(row.broadcast), row.airing_at);
    sort(rows, |a, b| key(a).cmp(&key(b)));
    days(rows, |row| row.airing_at)
}

/// As [`airings_by_date`], minutes by (broadcast_id, minute_at) within the day of `minute_at`.
pub fn minutes_by_date<'a>(
    rows: &'a mut [MinuteRow],
    names: &[Arc<str>],
) -> impl Iterator<Item = (i64, &'a [MinuteRow])> + use<'a> {
    let ranks = Ranks::of(rows.iter().map(|row| row.broadcast), names);
    let key = |row: &MinuteRow| (day_of(row.minute_at), ranks.get(row.broadcast), row.minute_at, row.airing_at);
    sort(rows, |a, b| key(a).cmp(&key(b)));
    days(rows, |row| row.minute_at)
}

/// As [`airings_by_date`], corrections by (broadcast_id, minute_at, commit) within the day of `minute_at`.
pub fn corrections_by_date<'a>(
    rows: &'a mut [CorrectionRow],
    names: &[Arc<str>],
) -> impl Iterator<Item = (i64, &'a [CorrectionRow])> + use<'a> {
    let ranks = Ranks::of(rows.iter().map(|row| row.broadcast), names);
    let key = |row: &CorrectionRow| (day_of(row.minute_at), ranks.get(row.broadcast), row.minute_at, row.commit);
    sort(rows, |a, b| key(a).cmp(&key(b)));
    days(rows, |row| row.minute_at)
}

/// As [`airings_by_date`], sessions by (broadcast_id, viewer, joined_at) within the day of `joined_at`.
pub fn sessions_by_date<'a>(
    rows: &'a mut [SessionRow],
    names: &[Arc<str>],
) -> impl Iterator<Item = (i64, &'a [SessionRow])> + use<'a> {
    let ranks = Ranks::of(rows.iter().map(|row| row.broadcast), names);
    let day = day_by(rows, |row| row.joined_at);
    let first = |row: &SessionRow| (day(row), ranks.get(row.broadcast), row.viewer, row.joined_at);
    let rest = |row: &SessionRow| (row.session, row.left_at);
    sort(rows, |a, b| first(a).cmp(&first(b)).then_with(|| rest(a).cmp(&rest(b))));
    days(rows, |row| row.joined_at)
}

/// As [`airings_by_date`], retweets by (broadcast_id, retweeted_at, tweet_id) within the day of `retweeted_at`.
/// `details` is the arena of their strings.
pub fn retweets_by_date<'a>(
    rows: &'a mut [RetweetRow],
    details: &Details,
    names: &[Arc<str>],
) -> impl Iterator<Item = (i64, &'a [RetweetRow])> + use<'a> {
    let ranks = Ranks::of(rows.iter().map(|row| row.broadcast), names);
    let tweet_id = |row: &RetweetRow| match details.get(row.detail) {
        Some(Detail::Retweet(retweet)) => Some(retweet.tweet_id),
        _ => None,
    };
    let first = |row: &RetweetRow| (day_of(row.retweeted_at), ranks.get(row.broadcast), row.retweeted_at);
    sort(rows, |a, b| first(a).cmp(&first(b)).then_with(|| tweet_id(a).cmp(&tweet_id(b))));
    days(rows, |row| row.retweeted_at)
}

/// As [`airings_by_date`], rejected events by (partition, offset, source) within the day of `received_at`.
pub fn rejected_by_date(rows: &mut [RejectedRow]) -> impl Iterator<Item = (i64, &[RejectedRow])> {
    let first = |row: &RejectedRow| (day_of(row.received_at), row.partition, row.offset);
    sort(rows, |a, b| first(a).cmp(&first(b)).then_with(|| a.source.cmp(&b.source)));
    days(rows, |row| row.received_at)
}

/// Sorts events as their table is sorted: by (broadcast_id, viewer, session, ts), retweets and ends, which have no
/// viewer, first; what is equal so far by kind and by place in the input.
pub fn sort_events(rows: &mut [LoggedEvent], names: &[Arc<str>]) {
    let ranks = Ranks::of(rows.iter().map(|row| row.event.broadcast), names);
    let who =
        |row: &LoggedEvent| if row.by_viewer() { (true, row.event.viewer, row.event.session) } else { (false, 0, 0) };
    let place = |row: &LoggedEvent| (row.event.viewer, row.source, row.partition, row.offset);
    sort(rows, |a, b| {
        (ranks.get(a.event.broadcast).cmp(&ranks.get(b.event.broadcast)))
            .then_with(|| who(a).cmp(&who(b)))
            .then_with(|| a.event.when().cmp(&b.event.when()))
            .then_with(|| place(a).cmp(&place(b)))
    });
}

/// The day of a row, told quickly where all rows are of one.
fn day_by<R>(rows: &[R], at: fn(&R) -> Ms) -> impl Fn(&R) -> i64 + use<R> {
    let days = || rows.iter().map(at);
    let one = days().min().map(day_of).filter(|first| days().max().map(day_of) == Some(*first));
    move |row| one.unwrap_or_else(|| day_of(at(row)))
}

/// Rows often come sorted: seeing that costs one pass.
fn sort<R>(rows: &mut [R], mut order: impl FnMut(&R, &R) -> Ordering) {
    if !rows.is_sorted_by(|a, b| order(a, b).is_le()) {
        rows.sort_unstable_by(order);
    }
}

fn days<'a, R>(rows: &'a [R], at: fn(&R) -> Ms) -> impl Iterator<Item = (i64, &'a [R])> + use<'a, R> {
    rows.chunk_by(move |a, b| day_of(at(a)) == day_of(at(b))).map(move |day| (day_of(at(&day[0])), day))
}

/// The places of broadcasts in the order of their ids, for those that occur.
struct Ranks(Vec<u32>);

impl Ranks {
    fn of(numbers: impl Iterator<Item = u32> + Clone, names: &[Arc<str>]) -> Ranks {
        let mut ranks = vec![u32::MAX; numbers.clone().max().map_or(0, |last| last as usize + 1)];
        let mut occurring = Vec::new();
        for number in numbers {
            let rank = &mut ranks[number as usize];
            if *rank == u32::MAX {
                *rank = 0;
                occurring.push(number);
            }
        }
        occurring.sort_unstable_by_key(|number| names.get(*number as usize));
        for (rank, number) in (0..).zip(occurring) {
            ranks[number as usize] = rank;
        }
        Ranks(ranks)
    }

    fn get(&self, broadcast: u32) -> u32 {
        self.0[broadcast as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;
    use audience::Kind;
    use audience::time::DAY_MS;

    const MIDNIGHT: i64 = NOON / DAY_MS * DAY_MS + DAY_MS;

    /// Ids by number: é, b, a, 📺, 42; so the order is 42, a, b, é, 📺.
    const ORDER: [u32; 5] = [4, 2, 1, 0, 3];

    #[test]
    fn sessions_lie_by_day_then_by_id_then_by_viewer() {
        let mut rows: Vec<SessionRow> = [MIDNIGHT, MIDNIGHT - 1, NOON]
            .into_iter()
            .flat_map(|at| (0..5).flat_map(move |it| [u128::MAX, 7, 0].map(|viewer| session(it, viewer, at))))
            .collect();
        let seen: Vec<_> = sessions_by_date(&mut rows, &names())
            .map(|(day, rows)| {
                (day, rows.iter().map(|row| (row.broadcast, row.viewer, row.joined_at)).collect::<Vec<_>>())
            })
            .collect();
        let day = |times: &[i64]| -> Vec<_> {
            ORDER
                .iter()
                .flat_map(|it| [0, 7, u128::MAX].map(|viewer| (*it, viewer)))
                .flat_map(|(it, viewer)| times.iter().map(move |at| (it, viewer, *at)))
                .collect()
        };
        let today = day_of(NOON);
        assert_eq!(seen, [(today, day(&[NOON, MIDNIGHT - 1])), (today + 1, day(&[MIDNIGHT]))]);
    }

    #[test]
    fn the_other_tables_do_so_too() {
        let names = names();
        let today = day_of(NOON);
        let mut minutes = [minute(0, MIDNIGHT), minute(0, NOON), minute(4, NOON + 60_000), minute(4, NOON)];
        let seen: Vec<_> = minutes_by_date(&mut minutes, &names)
            .map(|(day, rows)| (day, rows.iter().map(|row| (row.broadcast, row.minute_at)).collect()))
            .collect();
        assert_eq!(seen, [(today, vec![(4, NOON), (4, NOON + 60_000), (0, NOON)]), (today + 1, vec![(0, MIDNIGHT)])]);

        let mut airings = [airing(1, NOON), airing(2, MIDNIGHT), airing(2, NOON)];
        let seen: Vec<_> = airings_by_date(&mut airings, &names)
            .map(|(day, rows)| (day, rows.iter().map(|row| row.broadcast).collect()))
            .collect();
        assert_eq!(seen, [(today, vec![2, 1]), (today + 1, vec![2])]);

        let mut details = Details::new();
        let mut tweets = [(1, "t2", NOON), (1, "t1", NOON), (1, "t3", NOON - 1), (2, "t4", MIDNIGHT)]
            .map(|(it, id, at)| retweet(&mut details, it, id, at));
        let id = |row: &RetweetRow| match details.get(row.detail) {
            Some(Detail::Retweet(said)) => said.tweet_id,
            _ => "",
        };
        let seen: Vec<_> = retweets_by_date(&mut tweets, &details, &names)
            .map(|(day, rows)| (day, rows.iter().map(id).collect()))
            .collect();
        assert_eq!(seen, [(today, vec!["t3", "t1", "t2"]), (today + 1, vec!["t4"])]);

        let mut refused = [rejected(1, 0, NOON), rejected(0, 9, NOON), rejected(0, 1, MIDNIGHT), rejected(0, 1, NOON)];
        let seen: Vec<_> = rejected_by_date(&mut refused)
            .map(|(day, rows)| (day, rows.iter().map(|row| (row.partition, row.offset)).collect()))
            .collect();
        assert_eq!(seen, [(today, vec![(0, 1), (0, 9), (1, 0)]), (today + 1, vec![(0, 1)])]);
    }

    #[test]
    fn events_without_a_viewer_come_first_by_time() {
        let mut details = Details::new();
        let mut rows = vec![
            event(Kind::Leave, 2, 9, NOON),
            event(Kind::Join, 2, 9, NOON),
            event(Kind::Join, 2, 3, NOON + 5),
            tweet(&mut details, 2, "t1", NOON + 2),
            end(2, NOON + 3),
            tweet(&mut details, 2, "t5", NOON + 1),
            event(Kind::Join, 4, 8, NOON),
        ];
        sort_events(&mut rows, &names());
        let seen: Vec<_> =
            rows.iter().map(|row| (row.event.broadcast, row.event.kind().word(), row.event.ts() - NOON)).collect();
        let a = [("retweet", 1), ("retweet", 2), ("end", 3), ("join", 5), ("join", 0), ("leave", 0)];
        let expected: Vec<_> = std::iter::once((4, "join", 0)).chain(a.map(|(kind, at)| (2, kind, at))).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn no_rows_are_no_days() {
        assert_eq!(sessions_by_date(&mut [], &names()).count(), 0);
        assert_eq!(rejected_by_date(&mut []).count(), 0);
    }
}
