//! The table as it is printed, drawn.

use super::*;
use crate::airing::NOT_COMPLETE;
use audience::DistinctAiring;
use serde_json::{Value as Json, json};

fn lines() -> [AiringLine; 3] {
    let night = AiringLine {
        broadcast_id: "gala-2026".to_owned(),
        airing_at: 1_773_516_660_000,
        airtime_ms: Some(18_840_000),
        sessions: 385_114,
        reach: 310_020,
        viewers_max: 81_220,
        viewers_max_at: Some(1_773_530_000_123),
        viewers_mean: Some(40_612.44),
        viewer_ms: 765_138_369_600,
        distinct: Some(DistinctAiring {
            max: 80_104,
            max_at: Some(1_773_530_002_456),
            ms: 750_000_000_000,
            returns: 7,
        }),
        distinct_mean: Some(39_808.9),
        retweets: 302,
        minutes: vec![1, 20_000, 40_000, 60_000, 81_220, 30_000, 10],
        incomplete: vec![],
        provisional: false,
    };
    let running = AiringLine {
        broadcast_id: "une-très-longue-émission\x1b[31m-du-samedi".to_owned(),
        viewers_max: 12,
        viewers_mean: Some(3.0),
        viewer_ms: 36_000,
        distinct: Some(DistinctAiring { max: 12, max_at: night.viewers_max_at, ms: 36_000, returns: 0 }),
        distinct_mean: Some(3.0),
        sessions: 14,
        reach: 13,
        provisional: true,
        incomplete: vec![1, 2],
        ..night.clone()
    };
    let nobody = AiringLine {
        broadcast_id: "42".to_owned(),
        airtime_ms: None,
        viewers_max: 0,
        viewers_max_at: None,
        viewers_mean: None,
        viewer_ms: 0,
        distinct: Some(DistinctAiring::default()),
        distinct_mean: None,
        sessions: 0,
        reach: 0,
        minutes: vec![0, 0],
        ..night.clone()
    };
    [night, running, nobody]
}

/// The table without its definitions.
#[track_caller]
fn check(width: usize, expect: &str) {
    let drawn = table(&lines(), &Zone::utc(), Look::plain(width));
    let (table, _) = drawn.split_once("\n\n").unwrap_or_default();
    assert!(table == expect.trim_matches('\n'), "drawn:\n{table}\nexpected:{expect}");
    assert!(drawn.lines().all(|line| line.width() <= width), "too wide:\n{drawn}");
}

#[test]
fn eighty_columns_hold_what_people_ask_for_first() {
    check(
        80,
        "
Broadcast           Curve           Peak   People       AMA    Reach  Watch time
────────────────────────────────────────────────────────────────────────────────
gala-2026           ▁▂▄▆█▃▁       81,220   80,104  40,612.4  310,020   212,538 h
2026-03-14 19:31             at 23:13:20
une-très-longue-é…  ▁▂▄▆█▃▁           12  as many       3.0       13      0.01 h
2026-03-14 19:31             at 23:13:20
provisional
not complete
42                                     0        0         –        0      0.00 h
2026-03-14 19:31
",
    );
}

#[test]
fn a_wide_terminal_has_all() {
    check(130, "
Broadcast                         Curve           Peak       People       AMA     Airtime    Reach  Sessions  Watch time  Retweets
──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
gala-2026                         ▁▂▄▆█▃▁       81,220       80,104  40,612.4  5 h 14 min  310,020   385,114   212,538 h       302
2026-03-14 19:31                           at 23:13:20  at 23:13:22
une-très-longue-émission�[31m-d…  ▁▂▄▆█▃▁           12      as many       3.0  5 h 14 min       13        14      0.01 h       302
2026-03-14 19:31                           at 23:13:20
provisional
not complete
42                                                   0            0         –           –        0         0      0.00 h       302
2026-03-14 19:31
");
}

#[test]
fn a_narrow_one_goes_without_the_curve() {
    check(
        60,
        "
Broadcast                   Peak   People       AMA    Reach
────────────────────────────────────────────────────────────
gala-2026                 81,220   80,104  40,612.4  310,020
2026-03-14 19:31     at 23:13:20
une-très-longue-ém…           12  as many       3.0       13
2026-03-14 19:31     at 23:13:20
provisional
not complete
42                             0        0         –        0
2026-03-14 19:31
",
    );
}

/// The night, five hours later.
fn over_midnight() -> AiringLine {
    let [night, ..] = lines();
    AiringLine { minutes: vec![7; 314], viewers_max_at: Some(1_773_533_600_123), ..night }
}

#[test]
fn a_peak_has_its_day_where_the_airing_has_two() {
    let shown = |width: usize, zone: &Zone| {
        let drawn = table(&[over_midnight()], zone, Look::plain(width));
        drawn.lines().skip(2).take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(
        shown(80, &Zone::utc()),
        "gala-2026         ████████       81,220  80,104  40,612.4  310,020   212,538 h\n\
         2026-03-14 19:31            at 00:13:20\n                               on 03-15\n"
    );
    assert_eq!(
        shown(60, &Zone::utc()),
        "gala-2026              81,220  80,104  40,612.4  310,020\n\
         2026-03-14 19:31  at 00:13:20\n                     on 03-15\n"
    );
    // Five hours behind it is one day.
    assert_eq!(
        shown(60, &Zone::of("America/Bogota", vec![(0, -18_000_000)])),
        "gala-2026              81,220  80,104  40,612.4  310,020\n2026-03-14 14:31  at 19:13:20\n"
    );
    let wide = table(&[over_midnight()], &Zone::utc(), Look::plain(120));
    assert!(wide.lines().all(|line| line.width() <= 120) && wide.contains("Retweets"), "{wide}");
}

#[test]
fn people_that_were_not_counted_are_no_number() {
    let of_version_1 = AiringLine { distinct: None, distinct_mean: None, ..over_midnight() };
    let drawn = table(std::slice::from_ref(&of_version_1), &Zone::utc(), Look::plain(80));
    assert!(drawn.contains("81,220       –  40,612.4"), "{drawn}");
    assert_eq!(of_version_1.as_json()["distinct_max"], Json::Null);
}

#[test]
fn of_many_the_newest_or_the_largest_are_picked() {
    let ids = |lines: Vec<AiringLine>| lines.into_iter().map(|line| line.broadcast_id).collect::<String>();
    let one = |id: &str, airing_at, viewers_max| AiringLine {
        broadcast_id: id.to_owned(),
        airing_at,
        viewers_max,
        ..over_midnight()
    };
    let all = || vec![one("a", 3, 10), one("b", 9, 20), one("c", 5, 30), one("d", 9, 10)];
    assert_eq!((ids(newest(all(), 3)), ids(newest(all(), 9))), ("bdc".to_owned(), "bdca".to_owned()));
    assert_eq!((ids(largest(all(), 2)), ids(largest(all(), 9))), ("cb".to_owned(), "cbad".to_owned()));
}

#[test]
fn the_terms_are_defined_below() {
    let drawn = table(&lines(), &Zone::utc(), Look::plain(100));
    for (term, definition) in TERMS.iter().chain([&PEOPLE, &PROVISIONAL, &NOT_COMPLETE, &("Times", "UTC")]) {
        assert!(drawn.contains(&format!("{term:<18}  {definition}\n")), "no {term}:\n{drawn}");
    }
    let sound = table(&lines()[..1], &Zone::utc(), Look::plain(100));
    assert!(!sound.contains("provisional") && !sound.contains("not complete"));
    assert_eq!(lines().map(|line| line.as_json()["complete"].clone()), [true, false, true]);
    assert_eq!(table(&[], &Zone::utc(), Look::plain(80)), "No airing here yet.\n");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    assert!(!table(&lines(), &Zone::utc(), Look::plain(80)).contains('\x1b'));
    assert!(table(&lines(), &Zone::utc(), Look { width: 80, colour: true }).contains("\x1b[1m"));
}

#[test]
fn colour_goes_over_the_whole_cell_and_not_where_there_is_none() {
    let drawn = table(&lines()[..1], &Zone::utc(), Look { width: 80, colour: true });
    let head: Vec<&str> = drawn.lines().take(4).collect();
    let rule = "─".repeat(77);
    let expect = [
        "\x1b[1mBroadcast        \x1b[0m \x1b[1mCurve   \x1b[0m \x1b[1m       Peak \x1b[0m \x1b[1mPeople \x1b[0m \x1b[1m     AMA \x1b[0m \
         \x1b[1m  Reach \x1b[0m \x1b[1mWatch time\x1b[0m",
        &rule,
        "gala-2026         \x1b[38;5;6m▁▂▄▆█▃▁ \x1b[39m \x1b[1m     81,220 \x1b[0m 80,104  40,612.4  310,020   212,538 h",
        "2026-03-14 19:31           \x1b[1mat 23:13:20 \x1b[0m",
    ];
    assert_eq!(head, expect);
}

#[test]
fn json_has_the_names_of_the_tables_and_the_ids_as_they_came() {
    let [night, running, nobody] = lines().map(|line| line.as_json());
    assert_eq!(night["airing_at"], "2026-03-14T19:31:00.000Z");
    assert_eq!((&night["viewers_max"], &night["viewers_max_at"]), (&json!(81_220), &json!("2026-03-14T23:13:20.123Z")));
    assert_eq!(
        (&night["distinct_max"], &night["distinct_max_at"]),
        (&json!(80_104), &json!("2026-03-14T23:13:22.456Z"))
    );
    assert_eq!((&night["distinct_mean"], &night["returns"]), (&json!(39_808.9), &json!(7)));
    assert_eq!(
        (&running["broadcast_id"], &running["provisional"]),
        (&json!("une-très-longue-émission\x1b[31m-du-samedi"), &json!(true))
    );
    assert_eq!(
        (&nobody["viewers_max_at"], &nobody["viewers_mean"], &nobody["airtime_ms"]),
        (&Json::Null, &Json::Null, &Json::Null)
    );
}
