//! One airing with the numbers that people ask for, the terms that define them, and both for programs.

use audience::text as words;
use audience::{AiringRow, DistinctAiring, MINUTE_MS, MinuteRow, Ms, Zone, time};
use serde_json::{Value as Json, json};

/// One airing, as people ask for it.
#[derive(Clone, Debug, PartialEq)]
pub struct AiringLine {
    /// The broadcast's id, as the producer gave it.
    pub broadcast_id: String,
    /// The instant of the first thing that was applied.
    pub airing_at: Ms,
    /// The airtime: from the first join to the end of the audience; `None` where nobody came.
    pub airtime_ms: Option<Ms>,
    /// Sessions, `>= 0`.
    pub sessions: i64,
    /// Distinct viewers, `>= 0`.
    pub reach: i64,
    /// The peak: the most concurrent viewers, `>= 0`.
    pub viewers_max: i64,
    /// The first instant of the peak; `None` for a peak of 0.
    pub viewers_max_at: Option<Ms>,
    /// AMA, viewers; `None` where the airtime is zero or none.
    pub viewers_mean: Option<f64>,
    /// Watch time, viewer-milliseconds.
    pub viewer_ms: i64,
    /// The concurrent people; `None` where version 1 of the contract counted the airing, which did not know them.
    pub distinct: Option<DistinctAiring>,
    /// The mean of the concurrent people; `None` as the AMA, and as `distinct`.
    pub distinct_mean: Option<f64>,
    /// Retweets counted.
    pub retweets: i64,
    /// `viewers_max` of each minute, without gaps, from the minute of `airing_at`.
    pub minutes: Vec<i64>,
    /// Places in `minutes` of those that are not complete, ascending.
    pub incomplete: Vec<usize>,
    /// Whether it has not settled yet, so that its numbers may change.
    pub provisional: bool,
}

impl AiringLine {
    /// The airing of `row` of the broadcast `id`, with all its minutes in their order, or none where they are not kept.
    pub fn of(id: &str, row: &AiringRow, minutes: &[MinuteRow], provisional: bool) -> AiringLine {
        AiringLine {
            broadcast_id: id.to_owned(),
            airing_at: row.airing_at,
            airtime_ms: row.airtime_ms,
            sessions: row.sessions,
            reach: row.reach,
            viewers_max: row.viewers_max,
            viewers_max_at: row.viewers_max_at,
            viewers_mean: row.viewers_mean(),
            viewer_ms: row.viewer_ms,
            distinct: row.distinct,
            distinct_mean: row.distinct_mean(),
            retweets: row.retweets,
            // There are no gaps in it; a table that is not kept leaves it empty.
            minutes: minutes.iter().map(|minute| minute.viewers_max).collect(),
            incomplete: (0..).zip(minutes).filter(|(_, minute)| !minute.complete).map(|(place, _)| place).collect(),
            provisional,
        }
    }

    /// Whether the most concurrent people were as many as the most concurrent viewers, and at the same instant: then
    /// they are said once.
    pub fn has_as_many_people(&self) -> bool {
        let (viewers, people) = ((self.viewers_max, self.viewers_max_at), self.distinct);
        people.is_some_and(|people| (people.max, people.max_at) == viewers)
    }

    /// Whether it lies in several days of a zone, so that a time alone does not say when.
    pub fn crosses_days(&self, zone: &Zone) -> bool {
        let lasts = match i64::try_from(self.minutes.len()) {
            Ok(minutes @ 1..) => time::minute_of(self.airing_at) - self.airing_at + minutes * MINUTE_MS,
            _ => self.airtime_ms.unwrap_or(0),
        };
        let last = self.airing_at.saturating_add(lasts.max(1) - 1);
        time::day_of(zone.clock(self.airing_at)) != time::day_of(zone.clock(last))
    }

    /// An instant of the airing to the second, with its day where that does not go without saying.
    pub fn moment(&self, at: Ms, zone: &Zone) -> String {
        let clock = zone.clock(at);
        let second = words::second(clock);
        if self.crosses_days(zone) { format!("{} {second}", words::day(clock)) } else { second }
    }

    /// What is to be known of all its numbers.
    pub fn marks(&self) -> Vec<Term> {
        let marks = [(self.provisional, PROVISIONAL), (!self.incomplete.is_empty(), NOT_COMPLETE)];
        marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect()
    }

    /// The airing for programs: the names and units of the table `airings`, times as RFC 3339.
    pub fn as_json(&self) -> Json {
        json!({
            "broadcast_id": self.broadcast_id,
            "airing_at": time::rfc3339(self.airing_at),
            "airtime_ms": self.airtime_ms,
            "sessions": self.sessions,
            "reach": self.reach,
            "viewers_max": self.viewers_max,
            "viewers_max_at": self.viewers_max_at.map(time::rfc3339),
            "viewers_mean": self.viewers_mean,
            "viewer_ms": self.viewer_ms,
            "distinct_max": self.distinct.map(|people| people.max),
            "distinct_max_at": self.distinct.and_then(|people| people.max_at).map(time::rfc3339),
            "distinct_mean": self.distinct_mean,
            "distinct_ms": self.distinct.map(|people| people.ms),
            "returns": self.distinct.map(|people| people.returns),
            "retweets": self.retweets,
            "provisional": self.provisional,
            // Who keeps no minutes does not know.
            "complete": (!self.minutes.is_empty()).then_some(self.incomplete.is_empty()),
        })
    }

    /// The airing for programs, with its `minutes` below it: the names and units of the two tables.
    pub fn as_json_with(&self, minutes: &[MinuteRow]) -> Json {
        let mut json = self.as_json();
        json["minutes"] = minutes.iter().map(minute_as_json).collect();
        json
    }
}

fn minute_as_json(row: &MinuteRow) -> Json {
    json!({
        "minute_at": time::rfc3339(row.minute_at),
        "viewers_start": row.viewers_start,
        "viewers_end": row.viewers_end,
        "viewers_max": row.viewers_max,
        "viewers_max_at": time::rfc3339(row.viewers_max_at),
        "viewers_min": row.viewers_min,
        "viewers_mean": row.viewers_mean(),
        "viewer_ms": row.viewer_ms,
        "distinct_start": row.distinct.map(|people| people.start),
        "distinct_end": row.distinct.map(|people| people.end),
        "distinct_max": row.distinct.map(|people| people.max),
        "distinct_max_at": row.distinct.map(|people| time::rfc3339(people.max_at)),
        "distinct_min": row.distinct.map(|people| people.min),
        "distinct_mean": row.distinct_mean(),
        "distinct_ms": row.distinct.map(|people| people.ms),
        "returns": row.distinct.map(|people| people.returns),
        "joins": row.joins,
        "leaves": row.leaves,
        "lapses": row.lapses,
        "new_viewers": row.new_viewers,
        "retweets": row.retweets,
        "retweet_followers": row.retweet_followers,
        "complete": row.complete,
    })
}

/// A term and its definition.
pub type Term = (&'static str, &'static str);

const CONCURRENT: Term = ("Concurrent viewers", "sessions open at one instant");
const PEOPLE: Term = ("Concurrent people", "viewers with a session open at one instant: who watches twice is one");
const PEAK: Term = ("Peak", "the most concurrent viewers, and the first instant of it");
const AMA: Term = ("AMA", "average minute audience: watch time / airtime");
const AIRTIME: Term = ("Airtime", "from the first join to the last end of a session, or of the broadcast");
const REACH: Term = ("Reach", "distinct viewers");
const SESSION: Term = ("Session", "one stay of one viewer, from a join to its end");
const WATCH_TIME: Term = ("Watch time", "the lengths of all sessions, added up");

/// Every term, each after those that it needs.
pub const TERMS: &[Term] = &[CONCURRENT, PEOPLE, PEAK, AIRTIME, AMA, WATCH_TIME, REACH, SESSION];

/// What `provisional` says, beside a number.
pub const PROVISIONAL: Term = ("provisional", "not settled yet: computed from the events so far, and may change");

/// What `not complete` says, beside a number.
pub const NOT_COMPLETE: Term =
    ("not complete", "events were lost before they were read: counts are too low, levels uncertain");
