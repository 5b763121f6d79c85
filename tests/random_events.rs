//! Random events made to collide: few ids, few instants, every kind, ties of every sort; a seed names them for ever.

use std::collections::{BTreeMap, BTreeSet};

use crate::reference::{self, Kind, NaiveEvent, Rules};
use crate::tables::{Table, Tables};

/// SplitMix64: small, and the same on every machine and in every version.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` − 1, near enough to even.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn ms(&mut self, below: i64) -> i64 {
        i64::try_from(self.below(usize::try_from(below).unwrap())).unwrap()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// Rules and events that meet them at their edges.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) rules: Rules,
    /// In the order of their arrival.
    pub(crate) events: Vec<NaiveEvent>,
}

/// Ids that are hard on whoever sorts, quotes or shortens them.
const IDS: [&str; 14] =
    ["a", "b", "42", "0", "-1", "007", "é", "😀", "z,\"q\"\n\t\\/", " ", "null", "\u{0}", "\u{7f}\u{2028}", "ａ"];

/// First instants of a scene: the ends of the time that events may have, midnights, minutes and a leap day among them.
const STARTS: [i64; 6] = [
    946_684_800_000,   // 2000-01-01T00:00:00Z, the first of all
    1_582_934_399_000, // 2020-02-28T23:59:59Z
    1_700_000_040_000, // a minute's first ms
    1_700_000_039_999, // the ms before it
    1_767_225_590_000, // ten seconds before 2026
    1_459_711_860_007,
];

/// What viewers do, one as often as the other: where joins are rare, a broadcast stays off air for long.
const KINDS: [&[Kind]; 2] = [
    &[Kind::Join, Kind::Join, Kind::Leave, Kind::Heartbeat],
    &[Kind::Join, Kind::Leave, Kind::Leave, Kind::Heartbeat, Kind::Heartbeat, Kind::Heartbeat],
];

impl Scene {
    /// The scene of a seed.
    pub(crate) fn new(seed: u64) -> Scene {
        let mut chance = Chance::new(seed);
        // All times are multiples of one unit, give or take a ms, so that time-outs and silences are met exactly.
        let unit = *chance.pick(&[1, 7, 500, 1_000, 20_000, 60_000, 1_800_000]);
        let rules = rules(&mut chance, unit);
        let world = World::new(&mut chance, unit);
        let most = *chance.pick(&[4, 30, 300]);
        let count = 1 + chance.below(most);
        let mut events: Vec<NaiveEvent> = Vec::new();
        for _ in 0..count {
            let mut event = world.event(&mut chance);
            if chance.one_in(2) && !events.is_empty() {
                // Ends are few among them, and the only ones that all rules look at.
                let ends: Vec<&NaiveEvent> = events.iter().filter(|event| event.kind == Kind::End).collect();
                let of_ends = chance.one_in(3) && !ends.is_empty();
                let earlier = if of_ends { *chance.pick(&ends) } else { chance.pick(&events) };
                follow(&mut event, earlier, rules, &mut chance);
            }
            events.push(event);
        }
        for _ in 0..count / 8 {
            let again = chance.pick(&events).clone();
            events.push(again);
        }
        if chance.one_in(3) {
            events.sort_by_key(|event| event.ts);
        } else {
            chance.shuffle(&mut events);
        }
        Scene { seed, rules, events }
    }

    /// The events as NDJSON, each written in one of the many ways that mean the same.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut chance = Chance::new(!self.seed);
        self.events.iter().map(|event| json(event, &mut chance)).collect()
    }
}

/// Half of them the contract's own, so that each meets the others at their usual sizes, too.
fn rules(chance: &mut Chance, unit: i64) -> Rules {
    let mut rules = Rules::DEFAULT;
    if chance.one_in(2) {
        rules.broadcast_idle_ms = (unit * (1 + chance.ms(6))).max(60_000);
    }
    if chance.one_in(2) {
        rules.session_timeout_ms = unit * (1 + chance.ms(5));
        rules.timeout_grace_ms = *chance.pick(&[0, 1, rules.session_timeout_ms / 2, rules.session_timeout_ms]);
        rules.timeout_grace_ms = rules.timeout_grace_ms.min(rules.session_timeout_ms);
    }
    if chance.one_in(2) {
        // A silence may end where the end parts, one that began with the end or after it.
        let silence = rules.broadcast_idle_ms;
        let some = unit * (1 + chance.ms(6));
        let idle = *chance.pick(&[60_000, some, silence, silence + unit, silence / 2]);
        rules.end_idle_ms = if chance.one_in(4) { 0 } else { idle.max(60_000) };
    }
    for rule in [&mut rules.straggler_ms, &mut rules.return_within_ms] {
        if chance.one_in(2) {
            let some = unit * (1 + chance.ms(4));
            *rule = (*chance.pick(&[0, 1, unit, some, 3_600_000])).min(3_600_000);
        }
    }
    rules
}

/// Puts an event a rule's time, give or take a ms, after an earlier one of its broadcast, and mostly of its viewer.
fn follow(event: &mut NaiveEvent, earlier: &NaiveEvent, rules: Rules, chance: &mut Chance) {
    let end_idle = rules.end_idle_ms;
    let after = match earlier.kind {
        // The last: where a silence may begin that ends as the end parts.
        Kind::End => [end_idle, end_idle, end_idle, (end_idle - rules.broadcast_idle_ms).max(0)],
        Kind::Leave => [rules.straggler_ms, rules.straggler_ms, rules.return_within_ms, rules.return_within_ms],
        _ => [rules.session_timeout_ms, rules.return_within_ms, end_idle, rules.broadcast_idle_ms],
    };
    event.ts = (earlier.ts + chance.pick(&after) + chance.pick(&[-1, 0, 0, 1])).max(STARTS[0]);
    event.broadcast.clone_from(&earlier.broadcast);
    if !event.viewer.is_empty() && !earlier.viewer.is_empty() {
        event.viewer.clone_from(&earlier.viewer);
        if earlier.kind == Kind::Leave && event.kind == Kind::Leave {
            event.kind = *chance.pick(&[Kind::Join, Kind::Heartbeat]);
        }
        if chance.below(4) > 0 {
            event.session.clone_from(&earlier.session);
        }
    }
}

/// The few people, sessions and tweets that a scene's events choose from.
struct World {
    start: i64,
    unit: i64,
    units: i64,
    broadcasts: Vec<String>,
    viewers: Vec<String>,
    sessions: Vec<Option<String>>,
    tweets: Vec<String>,
    /// Of 10 events, how many are no ends and no retweets.
    viewing: usize,
    /// Of these, what they are.
    kinds: &'static [Kind],
}

impl World {
    fn new(chance: &mut Chance, unit: i64) -> World {
        let ids = |chance: &mut Chance, most: usize| -> Vec<String> {
            (0..1 + chance.below(most)).map(|_| (*chance.pick(&IDS)).to_owned()).collect()
        };
        let viewers = ids(chance, 5);
        let mut sessions: Vec<Option<String>> = ids(chance, 3).into_iter().map(Some).collect();
        sessions.push(None);
        sessions.push(Some(viewers[0].clone()));
        let mut broadcasts = ids(chance, 3);
        if chance.one_in(8) {
            broadcasts.push("ü".repeat(128));
        }
        World {
            start: *chance.pick(&STARTS),
            unit,
            units: *chance.pick(&[3, 12, 40]),
            broadcasts,
            viewers,
            sessions,
            tweets: ids(chance, 4),
            viewing: *chance.pick(&[6, 9]),
            kinds: KINDS[chance.below(KINDS.len())],
        }
    }

    fn event(&self, chance: &mut Chance) -> NaiveEvent {
        let other = *chance.pick(&[Kind::End, Kind::End, Kind::Retweet, Kind::Retweet, Kind::Retweet]);
        let viewing = *chance.pick(self.kinds);
        let kind = if chance.below(10) < self.viewing { viewing } else { other };
        let jitter = if chance.one_in(10) { chance.ms(3) - 1 } else { 0 };
        let mut event = NaiveEvent {
            kind,
            broadcast: chance.pick(&self.broadcasts).clone(),
            ts: (self.start + self.unit * chance.ms(self.units) + jitter).max(STARTS[0]),
            viewer: String::new(),
            session: None,
            via: None,
            tweet: String::new(),
            user: String::new(),
            followers: None,
            retweet_of: None,
        };
        let known = |chance: &mut Chance| chance.one_in(2).then(|| chance.pick(&self.tweets).clone());
        match kind {
            Kind::End => {}
            Kind::Retweet => {
                event.tweet = chance.pick(&self.tweets).clone();
                event.user = chance.pick(&self.viewers).clone();
                event.followers = *chance.pick(&[None, Some(0), Some(7), Some(1_000_000_000_000)]);
                event.retweet_of = known(chance);
            }
            _ => {
                event.viewer = chance.pick(&self.viewers).clone();
                event.session = chance.pick(&self.sessions).clone();
                event.via = if kind == Kind::Join { known(chance) } else { None };
            }
        }
        event
    }
}

/// One event as a JSON object without a line end: keys in any order, ids as integers where they look like one, times as
/// numbers or text, escapes, unknown fields, fields of other kinds.
pub(crate) fn json(event: &NaiveEvent, chance: &mut Chance) -> String {
    let word = match event.kind {
        Kind::Join => "join",
        Kind::Heartbeat => "heartbeat",
        Kind::Leave => "leave",
        Kind::Retweet => "retweet",
        Kind::End => "end",
    };
    let mut fields = vec![("type", string(word, chance)), ("broadcast_id", id(&event.broadcast, chance))];
    fields.push(("ts", time(event.ts, chance)));
    match event.kind {
        Kind::End => {}
        Kind::Retweet => {
            fields.extend([("tweet_id", id(&event.tweet, chance)), ("user_id", id(&event.user, chance))]);
            fields.extend(optional("followers", event.followers.map(|n| whole(n, chance)), chance));
            let of = event.retweet_of.as_ref().map(|of| id(of, chance));
            fields.extend(optional("retweet_of", of, chance));
        }
        _ => {
            fields.push(("viewer_id", id(&event.viewer, chance)));
            let session = event.session.as_ref().map(|session| id(session, chance));
            fields.extend(optional("session_id", session, chance));
            let via = event.via.as_ref().map(|via| id(via, chance));
            // Only a join's `via` is looked at, so another kind may have any.
            let ignored = event.kind != Kind::Join && chance.one_in(8);
            fields.extend(if ignored { Some(("via", "[1.5]".into())) } else { optional("via", via, chance) });
        }
    }
    if chance.one_in(4) {
        let values = ["null", "1e400", "-0.0", "{}", "[[],{\"type\":\"end\"}]", "\"\\ud83d\\ude00 }\"", "true"];
        fields.push(("unknown", (*chance.pick(&values)).to_owned()));
    }
    if chance.one_in(2) {
        chance.shuffle(&mut fields);
    }
    let space = if chance.one_in(4) { " \t" } else { "" };
    let key = |key: &str, chance: &mut Chance| if chance.one_in(16) { escaped(key) } else { format!("\"{key}\"") };
    let body: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}{space}:{space}{value}", key(name, chance))).collect();
    format!("{space}{{{space}{}{space}}}{}", body.join(&format!("{space},")), *chance.pick(&["", "", "", "\r", " "]))
}

fn optional(name: &'static str, value: Option<String>, chance: &mut Chance) -> Option<(&'static str, String)> {
    value.or_else(|| chance.one_in(4).then(|| "null".to_owned())).map(|value| (name, value))
}

fn id(id: &str, chance: &mut Chance) -> String {
    let digits = id.strip_prefix('-').unwrap_or(id);
    let integer = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if integer && chance.one_in(2) { id.to_owned() } else { string(id, chance) }
}

fn string(text: &str, chance: &mut Chance) -> String {
    if chance.one_in(8) { escaped(text) } else { serde_json::to_string(text).unwrap() }
}

/// Each UTF-16 unit as an escape.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    format!("\"{units}\"")
}

/// An integer, or the same with a fraction of zeros.
fn whole(number: i64, chance: &mut Chance) -> String {
    let zeros = if chance.one_in(8) { chance.pick(&[".0", ".000"]) } else { "" };
    format!("{number}{zeros}")
}

fn time(ts: i64, chance: &mut Chance) -> String {
    if chance.below(4) > 0 {
        return if chance.one_in(8) { format!("\"{ts}\"") } else { whole(ts, chance) };
    }
    let offset = if chance.one_in(2) { 0 } else { chance.ms(2 * 1_439 + 1) - 1_439 };
    // The first second of a minute is the 60th of the one before, too.
    let before = if ts.rem_euclid(60_000) < 1_000 && chance.one_in(4) { 60 } else { 0 };
    let local = ts + offset * 60_000 - before * 1_000;
    let (days, ms) = (local.div_euclid(86_400_000), local.rem_euclid(86_400_000));
    let (mut year, mut month, mut day) = (1970, 1, days);
    while day >= if leap(year) { 366 } else { 365 } {
        day -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (h, m, s, fraction) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60 + before, ms % 1_000);
    let between = chance.pick(&['T', 'T', 't', ' ']);
    let mut text = format!("\"{year:04}-{month:02}-{:02}{between}{h:02}:{m:02}:{s:02}", day + 1);
    if fraction % 100 == 0 && chance.one_in(2) {
        let tenths = if fraction == 0 { String::new() } else { format!(".{}", fraction / 100) };
        text.push_str(&tenths);
    } else {
        text.push_str(&format!(".{fraction:03}{}", chance.pick(&["", "9", "999999999999"])));
    }
    let (sign, colon) = (if offset < 0 { '-' } else { '+' }, chance.pick(&[":", ""]));
    let zone = match *chance.pick(&["Z", "z", "", ""]) {
        zone if offset == 0 && !zone.is_empty() => zone.to_owned(),
        _ => format!("{sign}{:02}{colon}{:02}", offset.abs() / 60, offset.abs() % 60),
    };
    text + &zone + "\""
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[test]
fn a_seed_names_its_events_for_ever() {
    let sum = |seed| {
        let text = Scene::new(seed).lines().join("\n");
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
    };
    assert_eq!(sum(1), sum(1));
    assert_ne!(sum(1), sum(2));
}

type Rule = fn(&mut Rules) -> &mut i64;

/// The rules that have an edge.
const RULES: [(&str, Rule); 5] = [
    ("session_timeout", |rules| &mut rules.session_timeout_ms),
    ("broadcast_idle", |rules| &mut rules.broadcast_idle_ms),
    ("end_idle", |rules| &mut rules.end_idle_ms),
    ("straggler", |rules| &mut rules.straggler_ms),
    ("return_within", |rules| &mut rules.return_within_ms),
];

#[test]
fn scenes_meet_every_rule() {
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..100 {
        let scene = Scene::new(seed);
        let tables = reference::settled(&scene.events, scene.rules);
        let mut meet = |what: &str, times: usize| *met.entry(what.to_owned()).or_default() += times;
        let cell = |table: &Table, row: &[String], column: &str| row[table.place(column)].clone();
        for row in &tables.sessions.rows {
            let cell = |column: &str| cell(&tables.sessions, row, column);
            meet(&cell("end_reason"), 1);
            meet("no length", usize::from(cell("joined_at") == cell("left_at")));
            meet("via", usize::from(!cell("via").is_empty()));
        }
        for row in &tables.airings.rows {
            let cell = |column: &str| cell(&tables.airings, row, column);
            meet("nobody came", usize::from(cell("first_joined_at").is_empty()));
            meet("fewer people than sessions", usize::from(cell("distinct_ms") != cell("viewer_ms")));
            meet("returns", cell("returns").parse().unwrap());
        }
        let broadcasts: BTreeSet<&String> = scene.events.iter().map(|event| &event.broadcast).collect();
        meet("several airings", tables.airings.rows.len().saturating_sub(broadcasts.len()));
        meet("retweet", tables.retweets.rows.len());
        meet("repeated", usize::try_from(tables.ledger.repeated).unwrap());
        meet("orphaned", usize::try_from(tables.ledger.orphaned).unwrap());
        // Where one ms more or less makes another of it, something lies at the very edge of a rule.
        for (what, rule) in RULES {
            for ms in [-1, 1] {
                let mut other = scene.rules;
                let is_on = *rule(&mut other) > 0;
                *rule(&mut other) += ms;
                let moved = is_on && Tables::difference(&tables, &reference::settled(&scene.events, other)).is_some();
                meet(&format!("{what} {ms:+} ms"), usize::from(moved));
            }
        }
    }
    let rare: Vec<_> = met.iter().filter(|(_, times)| **times < 5).collect();
    assert!(met.len() == 23 && rare.is_empty(), "the scenes hardly meet {rare:?} of {met:?}");
}
