//! The forms in which a time, a number and the beginning of a file may be written: each is read for what it says, and
//! what comes close to one is read or rejected as the oracle does it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::data_directory;
use crate::oracle::oracle;
use crate::random_events::{Chance, Scene};
use crate::support::{NO_FLAGS, finish, folder, have, jauge, replay, seeds, shared};
use crate::tables::{Table, difference};

const MARK: &str = "\u{feff}";

/// A retweet, of a broadcast of its own.
fn retweet(number: usize, ts: &str, followers: &str) -> String {
    format!(
        r#"{{"type":"retweet","broadcast_id":"{number}","ts":{ts},"tweet_id":"t","user_id":"u","followers":{followers}}}"#
    )
}

/// What each form of `ts` says, in ms.
const TIMES: [(&str, i64); 22] = [
    ("1700000000123", 1_700_000_000_123),
    ("1700000000123.0", 1_700_000_000_123),
    ("1700000000123.00000000000000000000000000", 1_700_000_000_123),
    ("\"1700000000123\"", 1_700_000_000_123),
    ("\"0001700000000123\"", 1_700_000_000_123),
    (r#""170000\u0030000123""#, 1_700_000_000_123),
    ("\"2023-11-14T22:13:20.123Z\"", 1_700_000_000_123),
    ("\"2023-11-14t22:13:20.1239999999999999999999z\"", 1_700_000_000_123),
    ("\"2023-11-14 22:13:20.123Z\"", 1_700_000_000_123),
    (r#""2023-11-14\u002022:13:20.123\u007a""#, 1_700_000_000_123),
    ("\"2023-11-14T23:13:20.123+0100\"", 1_700_000_000_123),
    ("\"2023-11-14 00:00:20.123-22:13\"", 1_700_000_000_123),
    ("\"2023-11-15T22:12:20.123+23:59\"", 1_700_000_000_123),
    ("\"2023-11-15 22:12:20.123+2359\"", 1_700_000_000_123),
    ("\"2023-11-14T22:13:20.123-0000\"", 1_700_000_000_123),
    ("\"2023-11-14T22:12:60Z\"", 1_699_999_980_000),
    ("\"2023-11-14 22:12:60.0009z\"", 1_699_999_980_000),
    ("\"2016-12-31T23:59:60.5Z\"", 1_483_228_800_500),
    ("\"2017-01-01T05:29:60+05:30\"", 1_483_228_800_000),
    ("\"1999-12-31T23:59:60Z\"", 946_684_800_000),
    ("946684800000.0", 946_684_800_000),
    ("\"4102444799999\"", 4_102_444_799_999),
];

/// How many followers each form says; none where they are unknown.
const FOLLOWERS: [(&str, &str); 7] = [
    ("22000", "22000"),
    ("22000.0", "22000"),
    ("0.000", "0"),
    ("-0.0", "0"),
    ("1000000000000.0", "1000000000000"),
    ("1000000000000", "1000000000000"),
    ("null", ""),
];

#[test]
fn a_time_and_a_number_are_read_in_each_form() {
    let mut lines = Vec::new();
    let mut expected = Table::of("broadcast_id retweeted_at followers");
    let times = TIMES.iter().map(|(ts, ms)| (*ts, *ms, "7", "7"));
    let followers = FOLLOWERS.iter().map(|(form, followers)| ("1700000000000", 1_700_000_000_000, *form, *followers));
    for (number, (ts, ms, form, followers)) in times.chain(followers).enumerate() {
        lines.push(retweet(number, ts, form));
        expected.push([number.to_string(), ms.to_string(), followers.to_owned()]);
    }
    let folder = folder();
    let (file, out) = (folder.path().join("forms.ndjson"), folder.path().join("out"));
    fs::write(&file, lines.join("\n")).unwrap();
    replay([&file], &out, ["--strict"]).exits(0);
    assert_eq!(difference("forms", &expected, &data_directory::read(&out).retweets), None);
}

/// A time in any of the forms, or close to one.
fn time(chance: &mut Chance) -> String {
    let quoted = |text: &str, chance: &mut Chance| format!("\"{}\"", spoilt(text, chance));
    let mut of = |usual: &[&'static str], odd: &[&'static str]| {
        let these = if chance.one_in(20) { odd } else { usual };
        *chance.pick(these)
    };
    if of(&["a date", "a date", "a number"], &["a date"]) == "a number" {
        let ms = of(&["1700000000123", "1459711860000"], &["1700000000", "0", "946684799999", "4102444800000"]);
        let before = of(&["", "", "00"], &["-", "0000", "+"]);
        let behind = of(&["", ".0", ".000"], &[".", ".5", ".0001", "e0", ".0E1"]);
        let (whole, short) = (format!("{ms}{behind}"), format!("{before}{ms}"));
        return if chance.one_in(2) { whole } else { quoted(&short, chance) };
    }
    let year = of(&["2000", "2023", "2024", "2099"], &["1999", "2100", "0000", "9999", "1900"]);
    let date = of(&["01-01", "02-28", "12-31", "06-30"], &["02-29", "02-30", "00-01", "13-01", "01-00", "04-31"]);
    let between = of(&["T", "t", " "], &["", "_", "  ", "Tt"]);
    let clock =
        of(&["00:00:00", "23:59:59", "12:34:56", "12:34:60", "23:59:60"], &["24:00:00", "00:60:00", "00:00:61"]);
    let fraction = of(&["", ".5", ".1239999", ".123456789012345678901234567890"], &[".", ",5", ".5."]);
    let zones = ["Z", "z", "+01:00", "-0100", "+2359", "-23:59", "-0000"];
    let zone = of(&zones, &["", "+00", " Z", "+1:00", "+24:00", "-2400", "+00:60", "+0060", "+010:0", "UTC", "+01000"]);
    quoted(&format!("{year}-{date}{between}{clock}{fraction}{zone}"), chance)
}

/// One in six texts with a character less, more or changed.
fn spoilt(text: &str, chance: &mut Chance) -> String {
    let mut text: Vec<char> = text.chars().collect();
    if chance.one_in(6) {
        let at = chance.below(text.len());
        let to = (at + chance.below(2)).min(text.len());
        text.splice(at..to, chance.pick(&["", "0", "6", " ", ":", "T", "Z", ".", "-", "é", "０"]).chars());
    }
    text.into_iter().collect()
}

#[test]
fn the_oracle_reads_the_same_forms() {
    let Some(oracle) = have(oracle()) else { return };
    let of_followers = ["1", "22000.0", "-0.0", "-1.0", "1000000000000.00", "1000000000001.0", "1.5", "1.0e0", "\"1\""];
    for seed in seeds(2) {
        let mut chance = Chance::new(seed);
        let mut line = |number: usize| {
            let followers = if chance.one_in(4) { chance.pick(&of_followers) } else { "null" };
            retweet(number, &time(&mut chance), followers)
        };
        let lines: Vec<String> = (0..3_000).map(&mut line).collect();
        let folder = folder();
        let (file, out) = (folder.path().join("forms.ndjson"), folder.path().join("out"));
        fs::write(&file, lines.join("\n")).unwrap();
        replay([&file], &out, NO_FLAGS).exits(0);
        let found = data_directory::read(&out);
        let (accepted, rejected) = (found.retweets.rows.len(), found.rejected.rows.len());
        assert!(accepted.min(rejected) > 1_000, "seed {seed}: {accepted} accepted, {rejected} rejected");
        // A retweet alone is the same under all rules.
        let expected = oracle.tables(&[file], Scene::new(seed).rules);
        assert_eq!(difference("rejected", &expected.rejected, &found.rejected), None, "seed {seed}");
        assert_eq!(difference("retweets", &expected.retweets, &found.retweets), None, "seed {seed}");
    }
}

/// Where lines are rejected, and for what.
type Rejects<'a> = &'a [(u64, &'a str)];

#[test]
fn a_byte_order_mark_may_begin_a_file() {
    let end = r#"{"type":"end","broadcast_id":"b","ts":1700000000000}"#;
    let longest = format!("{},\"x\":\"{}\"}}", &end[..end.len() - 1], "x".repeat((1 << 20) - end.len() - 7));
    assert_eq!(longest.len(), 1 << 20, "one byte more is too large");
    let cases: [(String, Rejects<'_>); 6] = [
        (format!("{MARK}{end}"), &[]),
        (format!("{MARK}\n\n{end}"), &[]),
        (format!("{MARK}{longest}\n"), &[]),
        (format!("{MARK}{{}}\n{MARK}{end}\n{end}"), &[(3, "missing_field"), (6, "not_json")]),
        (format!("{MARK}{MARK}{end}\n{end}"), &[(3, "not_json")]),
        (format!("\n{MARK}{end}\n{end}"), &[(1, "not_json")]),
    ];
    for (text, rejects) in cases {
        let folder = folder();
        let mut member = GzEncoder::new(Vec::new(), Compression::fast());
        member.write_all(text.as_bytes()).unwrap();
        let gzip = member.finish().unwrap();
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for (name, stored) in [("plain.ndjson", text.as_bytes()), ("packed.gz", &gzip), ("packed.zst", &zstd)] {
            let (file, out) = (folder.path().join(name), folder.path().join(format!("of-{name}")));
            fs::write(&file, stored).unwrap();
            replay([&file], &out, NO_FLAGS).exits(0);
            check(&out, 1, rejects);
        }
        let out = folder.path().join("of-stdin");
        let mut command = jauge();
        command.args(["replay", "-", "--out"]).arg(&out);
        finish(command, text.as_bytes()).exits(0);
        check(&out, 1, rejects);
    }
}

/// Panics unless so many events were accepted, and those at these places were rejected for these reasons.
#[track_caller]
fn check(out: &Path, accepted: i64, rejects: Rejects<'_>) {
    let found = data_directory::read(out);
    let mut expected = Table::of("offset reason");
    rejects.iter().for_each(|(offset, reason)| expected.push([offset.to_string(), (*reason).to_owned()]));
    assert_eq!(difference("rejects", &expected, &found.rejected), None, "{}", out.display());
    let ledger = found.ledger;
    assert_eq!(ledger.applied + ledger.repeated + ledger.orphaned, accepted, "{}", out.display());
}

#[test]
fn the_cases_of_real_life_are_read() {
    let Some(shared) = have(shared()) else { return };
    let replayed = |names: &[&str], accepted: i64, rejects: Rejects<'_>| {
        let folder = folder();
        let out = folder.path().join("out");
        replay(names.iter().map(|name| shared.join("cases").join(name)), &out, NO_FLAGS).exits(0);
        check(&out, accepted, rejects);
    };
    let (range, kind, time) = ("timestamp_out_of_range", "wrong_type", "bad_timestamp");
    let of_units = [(0, range), (157, range), (240, range), (326, kind), (487, kind), (560, time), (845, time)];
    replayed(&["03-epoch-units.ndjson"], 8, &of_units);
    replayed(&["16a-bom.ndjson", "16b-bom-second-file.ndjson"], 8, &[]);
    replayed(&["20-pandas-floats.ndjson"], 3, &[(324, "not_json"), (430, kind), (535, kind)]);
    replayed(&["zeropad.ndjson.gz"], 5, &[]);
    // UTF-16 has a mark of its own, and is none of ours.
    let folder = folder();
    let utf16 = shared.join("cases/16c-utf16-powershell.ndjson");
    let ran = replay([utf16], &folder.path().join("out"), NO_FLAGS).exits(0);
    assert!(ran.stdout.contains(" 0 accepted") && ran.stderr.contains("UTF-16"), "{}{}", ran.stdout, ran.stderr);
}
