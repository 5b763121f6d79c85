//! The audit of rows against the contract's identities: what must hold between any settled tables, whoever wrote them.

use audience::{AiringRow, MINUTE_MS, MinuteRow, Ms, SessionRow};

/// An identity that does not hold: which, and the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(pub String);

/// Checks one minute by itself, settled or live: L4, L7 and the bounds of its columns.
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
    let all_of_it = |viewers: i64| i128::from(viewers) * i128::from(MINUTE_MS);
    let bounds = all_of_it(row.viewers_min)..=all_of_it(row.viewers_max);
    claim(bounds.contains(&i128::from(row.viewer_ms)), "min × 60,000 ≤ viewer_ms ≤ max × 60,000")?;
    claim(
        row.stays.iter().map(|stay| i128::from(stay.sessions)).sum::<i128>() == leaves + lapses,
        "stays add up to leaves + lapses",
    )?;
    claim((0..=row.joins).contains(&row.new_viewers), "0 ≤ new viewers ≤ joins")
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

/// Checks minutes of one airing, in order, whether settled or live: L4, L7, the bounds of each row, and that none is
/// missing between two of `minutes` (`gapless`).
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
        } else {
            claim(row.viewers_start == 0, "an airing starts with nobody")?;
        }
        before = Some(row);
    }
    Ok(())
}

/// Checks an airing against its minutes and sessions, all of it: L1, L2, L5, L7 and the sums. The curve is computed
/// again from `sessions`, by a plain sort of their ends.
///
/// # Errors
/// The first identity that does not hold.
pub fn audit_airing(airing: &AiringRow, minutes: &[MinuteRow], sessions: &[SessionRow]) -> Result<(), Breach> {
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
    let (peak, peak_at) = peak_of(sessions);
    claim(peak == airing.viewers_max, "peak = max of C recomputed from sessions")?;
    claim((if peak > 0 { peak_at } else { None }) == airing.viewers_max_at, "the peak's first instant")?;
    claim(airing.last_at >= airing.airing_at, "it ends after it starts")
}

/// Greatest C of a set of sessions, and its first instant.
fn peak_of(sessions: &[SessionRow]) -> (i64, Option<Ms>) {
    let mut steps: Vec<(Ms, i64)> = sessions.iter().flat_map(|row| [(row.joined_at, 1), (row.left_at, -1)]).collect();
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
