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

/// The rules that shape sessions, airings and what is a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// 0: off.
    pub(crate) session_timeout_ms: i64,
    /// 0 to `session_timeout_ms`.
    pub(crate) timeout_grace_ms: i64,
    /// 1 min to 30 d.
    pub(crate) broadcast_idle_ms: i64,
    /// 1 min to 30 d; 0: off.
    pub(crate) end_idle_ms: i64,
    /// 0 to 1 h.
    pub(crate) straggler_ms: i64,
    /// 0 to 1 h.
    pub(crate) return_within_ms: i64,
}

impl Rules {
    /// The contract's.
    pub(crate) const DEFAULT: Rules = Rules {
        session_timeout_ms: 0,
        timeout_grace_ms: 0,
        broadcast_idle_ms: 6 * 60 * MINUTE,
        end_idle_ms: 15 * MINUTE,
        straggler_ms: MINUTE,
        return_within_ms: MINUTE,
    };
}

struct Session {
    viewer: String,
    id: String,
    joined_at: i64,
    left_at: i64,
    end_reason: &'static str,
    via: Option<String>,
}

/// Milliseconds of which the first is in it and the last is not.
#[derive(Clone, Copy)]
struct Span {
    from: i64,
    until: i64,
}

impl Span {
    fn holds(&self, t: i64) -> bool {
        self.from <= t && t < self.until
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
        for unbroken in events.chunk_by(|a, b| b.ts - a.ts < rules.broadcast_idle_ms) {
            let gone = off_air(unbroken);
            let beginnings = beginnings(&gone, rules);
            let airing = |event: &NaiveEvent| beginnings.iter().filter(|at| **at <= event.ts).count();
            for airing in unbroken.chunk_by(|a, b| airing(a) == airing(b)) {
                settle(name, airing, &gone, rules, &mut tables);
            }
        }
    }
    tables.ledger.read = i64::try_from(events.len()).unwrap();
    tables
}

/// When the broadcast is off air: from each end that applies (the broadcast is on air at that ms itself, which is
/// `from`) to the join after it, or for ever. `events` have no silence between them.
fn off_air(events: &[&NaiveEvent]) -> Vec<Span> {
    let first = |kind: Kind, after: i64| {
        let of_kind = events.iter().filter(|event| event.kind == kind && event.ts > after);
        of_kind.map(|event| event.ts).min()
    };
    let (mut gone, mut on_air_at) = (Vec::new(), i64::MIN);
    // An end at the ms of the join comes after it.
    while let Some(from) = first(Kind::End, on_air_at.saturating_sub(1)) {
        let until = first(Kind::Join, from).unwrap_or(i64::MAX);
        gone.push(Span { from, until });
        on_air_at = until;
    }
    gone
}

/// Where airings begin because an end has parted them from the one before.
fn beginnings(gone: &[Span], rules: Rules) -> BTreeSet<i64> {
    let parts = |span: &&Span| rules.end_idle_ms > 0 && span.until.saturating_sub(span.from) >= rules.end_idle_ms;
    gone.iter().filter(parts).flat_map(|span| [span.from + rules.end_idle_ms, span.until]).collect()
}

/// Adds the rows of one airing: all its events and no others, sorted by time. `gone` is when its broadcast is off air.
fn settle(broadcast: &str, events: &[&NaiveEvent], gone: &[Span], rules: Rules, tables: &mut Tables) {
    let mut ledger = Ledger::default();
    let ends = ends(events, gone, &mut ledger);
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
        let (rows, ledger) = (&mut sessions, &mut ledger);
        let mut one = OneStay { viewer, session, events: &events, gone, rules, open: None, rows, ledger };
        one.run(&ends, last);
    }
    tables.ledger.add(&ledger);

    let closed: BTreeSet<i64> = sessions.iter().map(|s| s.left_at).chain(ends).collect();
    let applied: BTreeSet<i64> = (sessions.iter().map(|s| s.joined_at))
        .chain(closed.iter().copied())
        .chain(retweets.iter().map(|retweet| retweet.ts))
        .collect();
    let (Some(&airing_at), Some(&last_at)) = (applied.first(), applied.last()) else { return };
    let airtime = sessions.iter().map(|s| s.joined_at).min().zip(closed.last().copied());
    let airtime = airtime.map(|(from, until)| Span { from, until });
    let (intervals, returned) = presences(&sessions, rules);
    let facts =
        Airing { broadcast, airing_at, last_at, airtime, sessions, presences: intervals, returned, retweets, ledger };
    facts.rows(tables);
}

/// The instants at which the broadcast ended: those from which it was off air.
fn ends(events: &[&NaiveEvent], gone: &[Span], ledger: &mut Ledger) -> BTreeSet<i64> {
    let all: Vec<i64> = events.iter().filter(|event| event.kind == Kind::End).map(|event| event.ts).collect();
    let applied = |t: &i64| gone.iter().any(|span| span.from == *t);
    let applied: BTreeSet<i64> = all.iter().copied().filter(applied).collect();
    ledger.applied += count(applied.len());
    ledger.repeated += count(all.len() - applied.len());
    applied
}

/// The presences of all viewers, and when one of them was a return. An interval of presence begins where a session is
/// and none was the ms before, and it ends where none is any more.
fn presences(sessions: &[Session], rules: Rules) -> (Vec<Span>, Vec<i64>) {
    let mut of_viewer: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for s in sessions.iter().filter(|s| s.joined_at < s.left_at) {
        of_viewer.entry(&s.viewer).or_default().push(Span { from: s.joined_at, until: s.left_at });
    }
    let (mut presences, mut returned) = (Vec::new(), Vec::new());
    for stays in of_viewer.values() {
        let gone = |t: i64| !stays.iter().any(|stay| stay.holds(t));
        let begins: BTreeSet<i64> = stays.iter().map(|stay| stay.from).filter(|t| gone(*t - 1)).collect();
        let ends: BTreeSet<i64> = stays.iter().map(|stay| stay.until).filter(|t| gone(*t)).collect();
        let soon = |(gone_at, back_at): &(&i64, &i64)| **back_at - **gone_at <= rules.return_within_ms;
        returned.extend(ends.iter().zip(begins.iter().skip(1)).filter(soon).map(|(_, back_at)| *back_at));
        presences.extend(begins.into_iter().zip(ends).map(|(from, until)| Span { from, until }));
    }
    (presences, returned)
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
    /// Its own, sorted by time.
    events: &'a [&'a NaiveEvent],
    /// When its broadcast is off air.
    gone: &'a [Span],
    rules: Rules,
    /// Joined at, last sign of life, via.
    open: Option<(i64, i64, Option<String>)>,
    rows: &'a mut Vec<Session>,
    ledger: &'a mut Ledger,
}

impl OneStay<'_> {
    fn run(&mut self, ends: &BTreeSet<i64>, last: i64) {
        let instants: BTreeSet<i64> = self.events.iter().map(|event| event.ts).chain(ends.iter().copied()).collect();
        for t in instants {
            self.time_out(t);
            let now: Vec<&NaiveEvent> = self.events.iter().filter(|event| event.ts == t).copied().collect();
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
        let is_open = self.open.is_some();
        if !is_open && (kind == Kind::Leave || kind == Kind::Heartbeat && self.straggles(t)) {
            self.ledger.orphaned += 1;
            return;
        }
        if is_open && kind == Kind::Join {
            self.ledger.repeated += 1;
        } else {
            self.ledger.applied += 1;
        }
        match (kind, &mut self.open) {
            (Kind::Leave, _) => self.close(t, "leave"),
            (_, Some((_, seen, _))) => *seen = t,
            (_, None) => self.open = Some((t, t, same.iter().filter_map(|event| event.via.clone()).min())),
        }
    }

    /// Whether a heartbeat at `t` that finds the session closed opens nothing.
    fn straggles(&self, t: i64) -> bool {
        let mut leaves = self.events.iter().filter(|event| event.kind == Kind::Leave);
        self.gone.iter().any(|span| span.from < t && t < span.until)
            || leaves.any(|leave| 0 <= t - leave.ts && t - leave.ts < self.rules.straggler_ms)
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
    /// None if nobody came.
    airtime: Option<Span>,
    sessions: Vec<Session>,
    presences: Vec<Span>,
    /// When viewers came back soon.
    returned: Vec<i64>,
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
        let stays = self.sessions.iter().map(|s| Span { from: s.joined_at, until: s.left_at });
        let (stays, mut peaks) = (stays.collect::<Vec<_>>(), [(0, None); 2]);
        let mut minute_at = self.airing_at.div_euclid(MINUTE) * MINUTE;
        while minute_at <= self.last_at {
            let curves = [curve(&stays, minute_at), curve(&self.presences, minute_at)];
            self.minute(minute_at, &curves, &mut tables.minutes);
            for (peak, [_, _, most, most_at, ..]) in peaks.iter_mut().zip(curves) {
                if most > peak.0 {
                    *peak = (most, Some(most_at));
                }
            }
            minute_at += MINUTE;
        }
        self.summary(&stays, peaks, &mut tables.airings);
    }

    /// Adds the row of the minute from `start` on, in which C and D are as `curves` tell.
    fn minute(&self, start: i64, curves: &[[i64; 6]; 2], minutes: &mut Table) {
        let within = |t: i64| start <= t && t < start + MINUTE;
        let sessions = |keep: &dyn Fn(&Session) -> bool| count(self.sessions.iter().filter(|s| keep(s)).count());
        let retweets: Vec<_> = self.retweets.iter().filter(|retweet| within(retweet.ts)).collect();
        let mut row = vec![self.broadcast.to_owned()];
        row.extend(words(&[
            self.airing_at,
            start,
            sessions(&|s| within(s.joined_at)),
            sessions(&|s| within(s.left_at) && s.end_reason == "leave"),
            sessions(&|s| within(s.left_at) && s.end_reason != "leave"),
        ]));
        for curve in curves {
            row.extend(words(curve).chain([mean(curve[5], MINUTE)]));
        }
        row.extend(words(&[
            count(self.returned.iter().filter(|t| within(**t)).count()),
            count(self.first_joins().values().filter(|t| within(**t)).count()),
            count(retweets.len()),
            retweets.iter().filter_map(|retweet| retweet.followers).sum(),
        ]));
        row.push(lengths(self.sessions.iter().filter(|s| within(s.left_at))));
        minutes.push(row.into_iter().chain(["0", "0", "true"].map(str::to_owned)));
    }

    fn first_joins(&self) -> BTreeMap<&str, i64> {
        let mut first: BTreeMap<&str, i64> = BTreeMap::new();
        for s in &self.sessions {
            let t = first.entry(&s.viewer).or_insert(s.joined_at);
            *t = s.joined_at.min(*t);
        }
        first
    }

    fn summary(&self, stays: &[Span], peaks: [(i64, Option<i64>); 2], airings: &mut Table) {
        let airtime = self.airtime.map(|time| time.until - time.from);
        let sessions = count(self.sessions.len());
        let leaves = count(self.sessions.iter().filter(|s| s.end_reason == "leave").count());
        let followers: i64 = self.retweets.iter().filter_map(|retweet| retweet.followers).sum();
        let mut row = vec![self.broadcast.to_owned(), self.airing_at.to_string()];
        row.extend([text(self.airtime.map(|time| time.from)), self.last_at.to_string(), text(airtime)]);
        row.extend(words(&[sessions, count(self.first_joins().len())]));
        for ((peak, peak_at), spans) in peaks.into_iter().zip([stays, &self.presences]) {
            let ms: i64 = spans.iter().map(|span| span.until - span.from).sum();
            row.extend([peak.to_string(), text(peak_at), ms.to_string()]);
            row.push(airtime.filter(|airtime| *airtime > 0).map_or(String::new(), |airtime| mean(ms, airtime)));
        }
        row.extend(words(&[count(self.returned.len()), sessions, leaves, sessions - leaves]));
        row.extend(words(&[count(self.retweets.len()), followers]));
        row.push(lengths(self.sessions.iter()));
        row.extend(words(&[self.ledger.applied, self.ledger.repeated, self.ledger.orphaned]));
        airings.push(row);
    }
}

/// How many of these there are in a minute, as the contract writes it of C(t): just before it, at its last ms, the most
/// and its first instant, the least, and the integral.
fn curve(spans: &[Span], start: i64) -> [i64; 6] {
    let level = |t: i64| count(spans.iter().filter(|span| span.holds(t)).count());
    let changes = spans.iter().flat_map(|span| [span.from, span.until]).filter(|t| start <= *t && *t < start + MINUTE);
    let steps: BTreeMap<i64, i64> = changes.chain([start]).map(|t| (t, level(t))).collect();
    let most = *steps.values().max().unwrap();
    let most_at = *steps.iter().find(|(_, level)| **level == most).unwrap().0;
    let within = |span: &Span| (span.until.min(start + MINUTE) - span.from.max(start)).max(0);
    let ms = spans.iter().map(within).sum();
    [level(start - 1), level(start + MINUTE - 1), most, most_at, *steps.values().min().unwrap(), ms]
}

/// How long sessions lasted: each by the lowest value of its HdrHistogram bucket of 3 significant digits.
fn lengths<'a>(sessions: impl Iterator<Item = &'a Session>) -> String {
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
