//! The audit of rows against the contract's identities: what must hold between any settled tables, whoever wrote them.

use audience::{AiringRow, DistinctAiring, DistinctMinute, MINUTE_MS, MinuteRow, Ms, SessionRow};

/// An identity that does not hold: which, and the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(pub String);

/// Checks one minute by itself, settled or live: L3, L4, L7 and the bounds of its columns.
///
/// # Errors
/// The first identity that does not hold.
pub fn audit_minute(row: &MinuteRow) -> Result<(), Breach> {
    let claim = |holds: bool, what: &str| claim_of(row, holds, what);
    claim(row.minute_at.rem_euclid(MINUTE_MS) == 0, "it starts at a whole minute")?;
    // What is audited may say anything: sums are made where nothing overflows.
    let [start, end, joins, leaves, lapses] =
        [row.viewers_start, row.viewers_end, row.joins, row.leaves, row.lapses].map(i128::from);
    claim(end - start == joins - leaves - lapses, "viewers_end − viewers_start = joins − leaves − lapses")?;
    claim(joins >= 0 && leaves >= 0 && lapses >= 0, "joins, leaves and lapses are not negative")?;
    claim(row.viewers_min >= 0 && row.viewers_start >= 0 && row.viewers_end >= 0, "C is not negative")?;
    claim(row.viewers_min <= row.viewers_max, "min ≤ max")?;
    claim(row.viewers_end >= row.viewers_min && row.viewers_end <= row.viewers_max, "min ≤ end ≤ max")?;
    let into = i128::from(row.viewers_max_at) - i128::from(row.minute_at);
    claim((0..i128::from(MINUTE_MS)).contains(&into), "the maximum lies in the minute")?;
    claim(row.viewers_max > 0 || into == 0, "a maximum of 0 is first there at its start")?;
    let all_of_it = |viewers: i64| i128::from(viewers) * i128::from(MINUTE_MS);
    let bounds = all_of_it(row.viewers_min)..=all_of_it(row.viewers_max);
    claim(bounds.contains(&i128::from(row.viewer_ms)), "min × 60,000 ≤ viewer_ms ≤ max × 60,000")?;
    claim(
        row.stays.iter().map(|stay| i128::from(stay.sessions)).sum::<i128>() == leaves + lapses,
        "stays add up to leaves + lapses",
    )?;
    claim((0..=row.joins).contains(&row.new_viewers), "0 ≤ new viewers ≤ joins")?;
    row.distinct.map_or(Ok(()), |people| audit_people(row, &people))
}

/// Checks what one minute has of D against what it has of C: L3, and the bounds of its columns.
fn audit_people(row: &MinuteRow, people: &DistinctMinute) -> Result<(), Breach> {
    let DistinctMinute { start, end, max, max_at, min, ms, returns } = *people;
    let claim = |holds: bool, what: &str| {
        let at = audience::time::rfc3339;
        let said = || {
            format!(
                "minute {}: {what} does not hold: people from {start} to {end}, min {min}, max {max} at {}, distinct_ms {ms}, returns {returns}",
                at(row.minute_at),
                at(max_at)
            )
        };
        if holds { Ok(()) } else { Err(Breach(said())) }
    };
    let levels = [
        (start, row.viewers_start, "distinct_start"),
        (end, row.viewers_end, "distinct_end"),
        (max, row.viewers_max, "distinct_max"),
        (min, row.viewers_min, "distinct_min"),
        (ms, row.viewer_ms, "distinct_ms"),
    ];
    for (distinct, viewers, name) in levels {
        claim((0..=viewers).contains(&distinct), &format!("0 ≤ {name} ≤ that of C"))?;
        claim((distinct == 0) == (viewers == 0), &format!("{name} is 0 exactly where that of C is"))?;
    }
    claim((min..=max).contains(&end), "distinct_min ≤ distinct_end ≤ distinct_max")?;
    let into = i128::from(max_at) - i128::from(row.minute_at);
    claim((0..i128::from(MINUTE_MS)).contains(&into), "the maximum of D lies in the minute")?;
    claim(max > 0 || into == 0, "a maximum of 0 is first there at its start")?;
    let all_of_it = |people: i64| i128::from(people) * i128::from(MINUTE_MS);
    let bounds = all_of_it(min)..=all_of_it(max);
    claim(bounds.contains(&i128::from(ms)), "distinct_min × 60,000 ≤ distinct_ms ≤ distinct_max × 60,000")?;
    claim((0..=row.joins).contains(&returns), "0 ≤ returns ≤ joins")
}

fn claim_of(row: &MinuteRow, holds: bool, what: &str) -> Result<(), Breach> {
    if holds {
        return Ok(());
    }
    let MinuteRow { joins, leaves, lapses, new_viewers, viewer_ms, .. } = row;
    let (start, end, min, max) = (row.viewers_start, row.viewers_end, row.viewers_min, row.viewers_max);
    let at = audience::time::rfc3339;
    Err(Breach(format!(
        "minute {}: {what} does not hold: joins {joins}, leaves {leaves}, lapses {lapses}, new viewers {new_viewers}, viewers from {start} to \
         {end}, min {min}, max {max} at {}, viewer_ms {viewer_ms}",
        at(row.minute_at),
        at(row.viewers_max_at)
    )))
}

/// Checks minutes of one airing, in order, whether settled or live: L3, L4, L7, the bounds of each row, and that none
/// is missing between two of `minutes` (`gapless`).
///
/// # Errors
/// The first identity that does not hold.
pub fn audit_minutes(minutes: &[MinuteRow], gapless: bool) -> Result<(), Breach> {
    let mut before: Option<&MinuteRow> = None;
    for row in minutes {
        audit_minute(row)?;
        let claim = |holds: bool, what: &str| claim_of(row, holds, what);
        if let Some(before) = before {
            let next = before.minute_at + MINUTE_MS;
            claim(row.minute_at == next || (!gapless && row.minute_at > next), "it follows the minute before")?;
            claim(row.viewers_start == before.viewers_end, "viewers_start = viewers_end of the row before")?;
            let people = |row: &MinuteRow, of: fn(DistinctMinute) -> i64| row.distinct.map(of);
            let (start, end) = (people(row, |people| people.start), people(before, |people| people.end));
            claim(start == end, "distinct_start = distinct_end of the row before")?;
        } else {
            // Nobody in C is nobody in D.
            claim(row.viewers_start == 0, "an airing starts with nobody")?;
        }
        before = Some(row);
    }
    Ok(())
}

/// Checks an airing against its minutes and sessions, all of it: L1, L2, L3, L5, L7 and the sums. The curves are
/// computed again from `sessions`, by a plain sort of their ends; who is there again at most `return_within` ms after
/// having gone has returned.
///
/// # Errors
/// The first identity that does not hold.
pub fn audit_airing(
    airing: &AiringRow,
    minutes: &[MinuteRow],
    sessions: &[SessionRow],
    return_within: Ms,
) -> Result<(), Breach> {
    let at = audience::time::rfc3339(airing.airing_at);
    let claim = |holds: bool, what: &str| if holds { Ok(()) } else { Err(Breach(format!("airing {at}: {what}"))) };
    audit_minutes(minutes, true)?;
    let sum = |of: fn(&MinuteRow) -> i64| minutes.iter().map(of).sum::<i64>();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    claim(sum(|row| row.joins) == airing.joins && airing.joins == airing.sessions, "Σ joins = sessions")?;
    claim(count(sessions.len()) == airing.sessions, "rows of sessions = sessions")?;
    claim(sum(|row| row.leaves) == airing.leaves && sum(|row| row.lapses) == airing.lapses, "Σ leaves, Σ lapses")?;
    claim(airing.leaves + airing.lapses == airing.sessions, "every session ends")?;
    claim(
        sum(|row| row.new_viewers) == airing.reach && airing.reach <= airing.sessions,
        "Σ new_viewers = reach ≤ sessions",
    )?;
    claim(sum(|row| row.retweets) == airing.retweets, "Σ retweets")?;
    claim(sum(|row| row.viewer_ms) == airing.viewer_ms, "Σ viewer_ms of minutes")?;
    claim(sessions.iter().all(|row| row.left_at >= row.joined_at), "no left_at < joined_at")?;
    claim(
        sessions.iter().map(|row| row.left_at - row.joined_at).sum::<i64>() == airing.viewer_ms,
        "Σ viewer_ms = Σ (left_at − joined_at)",
    )?;
    let mut viewers: Vec<u128> = sessions.iter().map(|row| row.viewer).collect();
    viewers.sort_unstable();
    viewers.dedup();
    claim(count(viewers.len()) == airing.reach, "Σ new_viewers = distinct viewers")?;
    claim(
        minutes.iter().map(|row| row.viewers_max).max().unwrap_or(0) == airing.viewers_max,
        "peak = max of viewers_max",
    )?;
    let (peak, peak_at) = peak_of(sessions.iter().map(|row| (row.joined_at, row.left_at)));
    claim(peak == airing.viewers_max, "peak = max of C recomputed from sessions")?;
    claim(peak_at == airing.viewers_max_at, "the peak's first instant")?;
    claim(airing.last_at >= airing.airing_at, "it ends after it starts")?;
    let Some(distinct) = airing.distinct else { return Ok(()) };
    claim(distinct == people_of(sessions, return_within), "D and the returns recomputed from sessions")?;
    claim(distinct.max <= airing.reach && distinct.ms <= airing.viewer_ms, "D ≤ reach, and D ≤ C")?;
    let people = || minutes.iter().filter_map(|row| row.distinct);
    claim(people().map(|one| one.ms).sum::<i64>() == distinct.ms, "Σ distinct_ms of minutes")?;
    claim(people().map(|one| one.returns).sum::<i64>() == distinct.returns, "Σ returns of minutes")?;
    claim(people().map(|one| one.max).max().unwrap_or(0) == distinct.max, "distinct_max = max of those of minutes")
}

/// D of a set of sessions, from its definition: the presence of a viewer is the union of its sessions of more than zero
/// length, of which those that touch make one interval.
fn people_of(sessions: &[SessionRow], return_within: Ms) -> DistinctAiring {
    let mut stays: Vec<(u128, Ms, Ms)> = sessions.iter().map(|row| (row.viewer, row.joined_at, row.left_at)).collect();
    stays.retain(|(_, joined, left)| joined < left);
    stays.sort_unstable();
    let mut present: Vec<(u128, Ms, Ms)> = Vec::new();
    for (viewer, joined, left) in stays {
        match present.last_mut() {
            Some(last) if last.0 == viewer && joined <= last.2 => last.2 = last.2.max(left),
            _ => present.push((viewer, joined, left)),
        }
    }
    let (max, max_at) = peak_of(present.iter().map(|(_, joined, left)| (*joined, *left)));
    let is_return = |pair: &&[(u128, Ms, Ms)]| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].2 <= return_within;
    DistinctAiring {
        max,
        max_at,
        ms: present.iter().map(|(_, joined, left)| left - joined).sum(),
        returns: i64::try_from(present.windows(2).filter(is_return).count()).unwrap_or(i64::MAX),
    }
}

/// The most of these spans at one instant, and the first one of it; `None` for 0.
fn peak_of(spans: impl Iterator<Item = (Ms, Ms)>) -> (i64, Option<Ms>) {
    let mut steps: Vec<(Ms, i64)> = spans.flat_map(|(from, to)| [(from, 1), (to, -1)]).collect();
    steps.sort_unstable();
    let (mut viewers, mut peak) = (0, (0, None));
    for instant in steps.chunk_by(|a, b| a.0 == b.0) {
        viewers += instant.iter().map(|(_, change)| change).sum::<i64>();
        if viewers > peak.0 {
            peak = (viewers, Some(instant[0].0));
        }
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::{Ended, NO_DETAIL};

    /// Makes D say what it was not.
    type Lie = fn(&mut DistinctMinute);

    fn session(viewer: u128, joined_at: Ms, left_at: Ms) -> SessionRow {
        let session = u128::from(joined_at.unsigned_abs());
        SessionRow {
            broadcast: 0,
            via: NO_DETAIL,
            airing_at: 0,
            viewer,
            session,
            joined_at,
            left_at,
            ended: Ended::Leave,
        }
    }

    #[track_caller]
    fn check(sessions: &[(u128, Ms, Ms)], within: Ms, expected: (i64, Option<Ms>, i64, i64)) {
        let rows: Vec<SessionRow> = sessions.iter().map(|(viewer, from, to)| session(*viewer, *from, *to)).collect();
        let DistinctAiring { max, max_at, ms, returns } = people_of(&rows, within);
        assert_eq!((max, max_at, ms, returns), expected, "{sessions:?}");
    }

    #[test]
    fn people_are_counted_once() {
        // Two screens, and a reconnect that touches.
        check(&[(1, 0, 10), (1, 5, 20), (1, 20, 30)], 60, (1, Some(0), 30, 0));
        check(&[(1, 0, 10), (2, 5, 20)], 60, (2, Some(5), 25, 0));
        // What lasts no time neither begins nor bridges a presence.
        check(&[(1, 0, 10), (1, 10, 10), (1, 15, 15), (1, 20, 30)], 10, (1, Some(0), 20, 1));
        check(&[(1, 0, 10), (1, 20, 30)], 9, (1, Some(0), 20, 0));
        check(&[(1, 7, 7)], 60, (0, None, 0, 0));
    }

    fn minute() -> MinuteRow {
        let distinct = DistinctMinute { start: 0, end: 1, max: 1, max_at: 5, min: 0, ms: 40_000, returns: 0 };
        MinuteRow {
            broadcast: 0,
            airing_at: 0,
            minute_at: 0,
            joins: 2,
            leaves: 0,
            lapses: 0,
            viewers_start: 0,
            viewers_end: 2,
            viewers_max: 2,
            viewers_max_at: 6,
            viewers_min: 0,
            viewer_ms: 80_000,
            distinct: Some(distinct),
            new_viewers: 1,
            retweets: 0,
            retweet_followers: 0,
            stays: Vec::new(),
            late: 0,
            lapses_backdated: 0,
            complete: true,
        }
    }

    #[test]
    fn there_are_no_more_people_than_sessions() {
        let broken = |lie: Lie| {
            let mut row = minute();
            row.distinct.as_mut().map(lie);
            audit_minute(&row).map_err(|breach| breach.0)
        };
        assert_eq!(broken(|_| ()), Ok(()));
        let lies: [(Lie, &str); 9] = [
            (|people| people.end = 3, "0 ≤ distinct_end ≤ that of C"),
            (|people| people.max = 3, "0 ≤ distinct_max ≤ that of C"),
            (|people| people.start = -1, "0 ≤ distinct_start ≤ that of C"),
            (|people| people.end = 0, "distinct_end is 0 exactly where that of C is"),
            (|people| people.min = 1, "0 ≤ distinct_min ≤ that of C"),
            (|people| people.ms = 60_001, "distinct_ms ≤ distinct_max × 60,000"),
            (|people| people.max_at = 60_000, "the maximum of D lies in the minute"),
            (|people| people.returns = 3, "0 ≤ returns ≤ joins"),
            (|people| people.ms = 0, "distinct_ms is 0 exactly where that of C is"),
        ];
        for (lie, says) in lies {
            assert!(broken(lie).is_err_and(|breach| breach.contains(says)), "{says}: {:?}", broken(lie));
        }
    }
}
