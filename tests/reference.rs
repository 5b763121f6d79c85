//! The reference: the settled tables computed straight from their definitions, slowly, with everything in memory. It
//! shares no code and no structure with the product, so that the two agree only where both follow the contract.
//!
//! An airing is cut out first and then computed by itself; the curve is never walked: each number of a minute is
//! counted over all sessions anew, as its definition says.

use std::collections::{BTreeMap, BTreeSet};

use crate::tables::{Ledger, Table, Tables};

/// Milliseconds of one minute.
const MINUTE: i64 = 60_000;

/// What happened, by its word on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Join,
    Heartbeat,
    Leave,
    Retweet,
    End,
}

/// An event with all that its kind may say; what its kind does not say is empty.
#[derive(Clone, Debug)]
pub(crate) struct NaiveEvent {
    pub(crate) kind: Kind,
    pub(crate) broadcast: String,
    pub(crate) ts: i64,
    pub(crate) viewer: String,
    /// `None` where the event names no session: then it is the viewer's own.
    pub(crate) session: Option<String>,
    pub(crate) via: Option<String>,
    pub(crate) tweet: String,
    pub(crate) user: String,
    pub(crate) followers: Option<i64>,
    pub(crate) retweet_of: Option<String>,
}

/// The three rules that shape sessions and airings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// 0: off.
    pub(crate) session_timeout_ms: i64,
    /// 0 to `session_timeout_ms`.
    pub(crate) timeout_grace_ms: i64,
    /// 1 min to 30 d.
    pub(crate) broadcast_idle_ms: i64,
}

struct Session {
    viewer: String,
    id: String,
    joined_at: i64,
    left_at: i64,
    end_reason: &'static str,
    via: Option<String>,
}

impl Session {
    fn is_there_at(&self, t: i64) -> bool {
        self.joined_at <= t && t < self.left_at
    }
}

/// What a finished replay of `events` must equal, whatever the order in which they arrived. `rejected` stays empty:
/// every event here is one that was accepted.
pub(crate) fn settled(events: &[NaiveEvent], rules: Rules) -> Tables {
    let mut tables = Tables::empty();
    let mut broadcasts: BTreeMap<&str, Vec<&NaiveEvent>> = BTreeMap::new();
    for event in events {
        broadcasts.entry(&event.broadcast).or_default().push(event);
    }
    for (name, mut events) in broadcasts {
        events.sort_by_key(|event| event.ts);
        for airing in events.chunk_by(|a, b| b.ts - a.ts < rules.broadcast_idle_ms) {
            settle(name, airing, rules, &mut tables);
        }
    }
    tables.ledger.read = i64::try_from(events.len()).unwrap();
    tables
}

/// Adds the rows of one airing: all its events and no others, sorted by time.
fn settle(broadcast: &str, events: &[&NaiveEvent], rules: Rules, tables: &mut Tables) {
    let mut ledger = Ledger::default();
    let ends = ends(events, &mut ledger);
    let retweets = retweets(events, &mut ledger);
    let mut sessions = Vec::new();
    let viewing = |event: &&&NaiveEvent| matches!(event.kind, Kind::Join | Kind::Heartbeat | Kind::Leave);
    let mut stays: BTreeMap<(&str, &str), Vec<&NaiveEvent>> = BTreeMap::new();
    for event in events.iter().filter(viewing) {
        let session = event.session.as_ref().unwrap_or(&event.viewer);
        stays.entry((&event.viewer, session)).or_default().push(event);
    }
    let last = events.last().map_or(0, |event| event.ts);
    for ((viewer, session), events) in stays {
        let mut one = OneStay { viewer, session, rules, open: None, rows: &mut sessions, ledger: &mut ledger };
        one.run(&events, &ends, last);
    }
    tables.ledger.add(&ledger);

    let applied: BTreeSet<i64> = (sessions.iter().flat_map(|s| [s.joined_at, s.left_at]))
        .chain(ends)
        .chain(retweets.iter().map(|retweet| retweet.ts))
        .collect();
    let (Some(&airing_at), Some(&last_at)) = (applied.first(), applied.last()) else { return };
    let facts = Airing { broadcast, airing_at, last_at, sessions, retweets, ledger };
    facts.rows(tables);
}

/// The instants at which the broadcast ended.
fn ends(events: &[&NaiveEvent], ledger: &mut Ledger) -> BTreeSet<i64> {
    let all: Vec<i64> = events.iter().filter(|event| event.kind == Kind::End).map(|event| event.ts).collect();
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    ledger.applied += count(distinct.len());
    ledger.repeated += count(all.len() - distinct.len());
    distinct
}

/// The retweets that count: of each tweet the earliest, of those the smallest (user, followers,
/// retweet_of), unknown last.
fn retweets<'a>(events: &[&'a NaiveEvent], ledger: &mut Ledger) -> Vec<&'a NaiveEvent> {
    let mut of_tweet: BTreeMap<&str, Vec<&NaiveEvent>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == Kind::Retweet) {
        of_tweet.entry(&event.tweet).or_default().push(event);
    }
    let first = |same: &Vec<&'a NaiveEvent>| {
        let rank = |event: &&NaiveEvent| {
            let (followers, of) = (event.followers, event.retweet_of.clone());
            (event.ts, event.user.clone(), followers.is_none(), followers, of.is_none(), of)
        };
        *same.iter().min_by_key(|event| rank(event)).unwrap()
    };
    ledger.applied += count(of_tweet.len());
    ledger.repeated += of_tweet.values().map(|same| count(same.len() - 1)).sum::<i64>();
    of_tweet.values().map(first).collect()
}

/// The sessions of one (broadcast, viewer, session) in one airing.
struct OneStay<'a> {
    viewer: &'a str,
    session: &'a str,
    rules: Rules,
    /// Joined at, last sign of life, via.
    open: Option<(i64, i64, Option<String>)>,
    rows: &'a mut Vec<Session>,
    ledger: &'a mut Ledger,
}

impl OneStay<'_> {
    fn run(&mut self, events: &[&NaiveEvent], ends: &BTreeSet<i64>, last: i64) {
        let instants: BTreeSet<i64> = events.iter().map(|event| event.ts).chain(ends.iter().copied()).collect();
        for t in instants {
            self.time_out(t);
            let now: Vec<&NaiveEvent> = events.iter().filter(|event| event.ts == t).copied().collect();
            let order = match self.open {
                Some(_) => [Kind::Heartbeat, Kind::Leave, Kind::Join],
                None => [Kind::Join, Kind::Heartbeat, Kind::Leave],
            };
            for kind in order {
                let same: Vec<&NaiveEvent> = now.iter().filter(|event| event.kind == kind).copied().collect();
                if !same.is_empty() {
                    self.ledger.repeated += count(same.len() - 1);
                    self.take(kind, t, &same);
                }
            }
            if ends.contains(&t) {
                self.close(t, "broadcast_end");
            }
        }
        self.time_out(last);
        self.close(last, "end_of_data");
    }

    /// All events of one kind at `t`, which count as one.
    fn take(&mut self, kind: Kind, t: i64, same: &[&NaiveEvent]) {
        let outcome = match (kind, self.open.is_some()) {
            (Kind::Leave, false) => &mut self.ledger.orphaned,
            (Kind::Join, true) => &mut self.ledger.repeated,
            _ => &mut self.ledger.applied,
        };
        *outcome += 1;
        match (kind, &mut self.open) {
            (Kind::Leave, _) => self.close(t, "leave"),
            (_, Some((_, seen, _))) => *seen = t,
            (_, None) => self.open = Some((t, t, same.iter().filter_map(|event| event.via.clone()).min())),
        }
    }

    fn time_out(&mut self, t: i64) {
        let timeout = self.rules.session_timeout_ms;
        if let Some((_, seen, _)) = self.open
            && timeout > 0
            && t - seen >= timeout
        {
            self.close(seen + self.rules.timeout_grace_ms, "timeout");
        }
    }

    fn close(&mut self, left_at: i64, end_reason: &'static str) {
        if let Some((joined_at, _, via)) = self.open.take() {
            let (viewer, id) = (self.viewer.to_owned(), self.session.to_owned());
            self.rows.push(Session { viewer, id, joined_at, left_at, end_reason, via });
        }
    }
}

/// One airing, whose rows follow from its sessions and retweets.
struct Airing<'a> {
    broadcast: &'a str,
    airing_at: i64,
    last_at: i64,
    sessions: Vec<Session>,
    retweets: Vec<&'a NaiveEvent>,
    ledger: Ledger,
}

impl Airing<'_> {
    fn rows(&self, tables: &mut Tables) {
        let name = || [self.broadcast.to_owned(), self.airing_at.to_string()];
        for s in &self.sessions {
            let times = [s.joined_at.to_string(), s.left_at.to_string()];
            let ids = [s.viewer.clone(), s.id.clone()];
            let why = [s.end_reason.to_owned(), s.via.clone().unwrap_or_default()];
            tables.sessions.push(name().into_iter().chain(ids).chain(times).chain(why));
        }
        for r in &self.retweets {
            let what = [r.tweet.clone(), r.user.clone(), text(r.followers), r.ts.to_string()];
            tables.retweets.push(name().into_iter().chain(what).chain([r.retweet_of.clone().unwrap_or_default()]));
        }
        let mut peak = (0, None);
        let mut minute_at = self.airing_at.div_euclid(MINUTE) * MINUTE;
        while minute_at <= self.last_at {
            let (most, at) = self.minute(minute_at, &mut tables.minutes);
            if most > peak.0 {
                peak = (most, Some(at));
            }
            minute_at += MINUTE;
        }
        self.summary(peak, &mut tables.airings);
    }

    /// C(t), as the contract writes it.
    fn viewers(&self, t: i64) -> i64 {
        count(self.sessions.iter().filter(|s| s.is_there_at(t)).count())
    }

    /// Adds the row of one minute; returns its maximum and that maximum's first instant.
    fn minute(&self, start: i64, minutes: &mut Table) -> (i64, i64) {
        let within = |t: i64| start <= t && t < start + MINUTE;
        let sessions = |keep: &dyn Fn(&Session) -> bool| count(self.sessions.iter().filter(|s| keep(s)).count());
        let changes = self.sessions.iter().flat_map(|s| [s.joined_at, s.left_at]).filter(|t| within(*t));
        let steps: BTreeMap<i64, i64> = changes.chain([start]).map(|t| (t, self.viewers(t))).collect();
        let most = *steps.values().max().unwrap();
        let most_at = *steps.iter().find(|(_, viewers)| **viewers == most).unwrap().0;
        let watched = |s: &Session| (s.left_at.min(start + MINUTE) - s.joined_at.max(start)).max(0);
        let viewer_ms: i64 = self.sessions.iter().map(watched).sum();
        let first_joins = self.first_joins();
        let retweets: Vec<_> = self.retweets.iter().filter(|retweet| within(retweet.ts)).collect();
        let numbers = [
            self.airing_at,
            start,
            sessions(&|s| within(s.joined_at)),
            sessions(&|s| within(s.left_at) && s.end_reason == "leave"),
            sessions(&|s| within(s.left_at) && s.end_reason != "leave"),
            self.viewers(start - 1),
            self.viewers(start + MINUTE - 1),
            most,
            most_at,
            *steps.values().min().unwrap(),
            viewer_ms,
        ];
        let mean = [mean(viewer_ms, MINUTE)];
        let more = [
            count(first_joins.values().filter(|t| within(**t)).count()),
            count(retweets.len()),
            retweets.iter().filter_map(|retweet| retweet.followers).sum(),
        ];
        let last = [stays(self.sessions.iter().filter(|s| within(s.left_at))), "0".into(), "0".into(), "true".into()];
        let broadcast = [self.broadcast.to_owned()].into_iter();
        minutes.push(broadcast.chain(words(&numbers)).chain(mean).chain(words(&more)).chain(last));
        (most, most_at)
    }

    fn first_joins(&self) -> BTreeMap<&str, i64> {
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for s in &self.sessions {
            let t = first.entry(&s.viewer).or_insert(s.joined_at);
            *t = s.joined_at.min(*t);
        }
        first
    }

    fn summary(&self, (peak, peak_at): (i64, Option<i64>), airings: &mut Table) {
        let first_joined_at = self.sessions.iter().map(|s| s.joined_at).min();
        let airtime = first_joined_at.map(|t| self.last_at - t);
        let viewer_ms: i64 = self.sessions.iter().map(|s| s.left_at - s.joined_at).sum();
        let sessions = count(self.sessions.len());
        let leaves = count(self.sessions.iter().filter(|s| s.end_reason == "leave").count());
        let followers: i64 = self.retweets.iter().filter_map(|retweet| retweet.followers).sum();
        let mut row = vec![self.broadcast.to_owned(), self.airing_at.to_string(), text(first_joined_at)];
        row.extend([self.last_at.to_string(), text(airtime), sessions.to_string()]);
        row.extend([self.first_joins().len().to_string(), peak.to_string(), text(peak_at), viewer_ms.to_string()]);
        row.push(airtime.filter(|ms| *ms > 0).map_or(String::new(), |ms| mean(viewer_ms, ms)));
        row.extend(words(&[sessions, leaves, sessions - leaves, count(self.retweets.len()), followers]));
        row.push(stays(self.sessions.iter()));
        row.extend(words(&[self.ledger.applied, self.ledger.repeated, self.ledger.orphaned]));
        airings.push(row);
    }
}

/// How long sessions lasted: each by the lowest value of its HdrHistogram bucket of 3 significant digits.
fn stays<'a>(sessions: impl Iterator<Item = &'a Session>) -> String {
    let mut buckets: BTreeMap<i64, i64> = BTreeMap::new();
    for s in sessions {
        let ms = s.left_at - s.joined_at;
        let mut width = 1;
        while ms / width >= 2_048 {
            width *= 2;
        }
        *buckets.entry(ms / width * width).or_default() += 1;
    }
    buckets.iter().map(|(ms, sessions)| format!("{ms}:{sessions}")).collect::<Vec<_>>().join(" ")
}

fn words(numbers: &[i64]) -> impl Iterator<Item = String> {
    numbers.iter().map(i64::to_string)
}

fn text(number: Option<i64>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// Both are far below 2^53 here, so this is the nearest double.
fn mean(viewer_ms: i64, ms: i64) -> String {
    format!("{:?}", viewer_ms as f64 / ms as f64)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap()
}
