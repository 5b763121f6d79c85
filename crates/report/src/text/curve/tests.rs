//! Curves as they are printed, drawn.

use super::*;
use crate::airing::PROVISIONAL;
use audience::DistinctAiring;

/// An airing whose minutes are these, from 2026-03-14 19:31 UTC on; its peak is in the first of its
/// greatest minutes, 5.678 s in.
fn line(minutes: &[i64]) -> AiringLine {
    let airing_at = 1_773_516_660_000;
    let viewers_max = minutes.iter().copied().max().unwrap_or(0);
    let at = minutes.iter().position(|viewers| *viewers == viewers_max).unwrap_or(0);
    let viewers_max_at = (viewers_max > 0).then_some(airing_at + i64::try_from(at).unwrap_or(0) * MINUTE_MS + 5_678);
    AiringLine {
        broadcast_id: "gala-2026".to_owned(),
        airing_at,
        airtime_ms: Some(18_840_000),
        sessions: 3_911,
        reach: 3_020,
        viewers_max,
        viewers_max_at,
        viewers_mean: Some(612.4),
        viewer_ms: 11_537_616_000,
        distinct: Some(DistinctAiring { max: viewers_max, max_at: viewers_max_at, ms: 11_537_616_000, returns: 0 }),
        distinct_mean: Some(612.4),
        retweets: 3,
        minutes: minutes.to_vec(),
        incomplete: vec![],
        provisional: false,
    }
}

/// What is drawn between the numbers and the definitions.
#[track_caller]
fn check(line: &AiringLine, retweets: &[Ms], look: Look, expect: &str) {
    check_in(&Zone::utc(), line, retweets, look, expect);
}

#[track_caller]
fn check_in(zone: &Zone, line: &AiringLine, retweets: &[Ms], look: Look, expect: &str) {
    let drawn = airing(line, retweets, zone, look);
    let plot = drawn.split("\n\n").nth(1).unwrap_or_default();
    assert!(plot == expect.trim_matches('\n'), "drawn:\n{plot}\nexpected:{expect}");
    assert!(drawn.lines().all(|line| draw::cut(line, look.width) == line || look.colour), "too wide:\n{drawn}");
}

#[test]
fn a_short_airing_has_wide_minutes() {
    check(
        &line(&[0, 1, 3, 2, 1]),
        &[1_773_516_660_000 + 90_000],
        Look::plain(60),
        "
  concurrent viewers (sessions)
4 ┤
  │
  │            ▼ 3 at 19:33:05
3 ┤            ██████
  │            ██████
  │            ██████
2 ┤            ████████████
  │            ████████████
  │            ████████████
1 ┤      ████████████████████████
  │      ████████████████████████
  │      ████████████████████████
0 ┼──────┬──┴────────┬───────────
       19:32       19:34
   ┴ retweets (1)
",
    );
}

#[test]
fn a_long_airing_is_squeezed_and_keeps_its_peak() {
    let mut night: Vec<i64> =
        (0..200).map(|minute| minute * 4).chain((0..114).map(|minute| 800 - 7 * minute)).collect();
    night[150] = 1_200;
    let at = |minutes: Ms| 1_773_516_660_000 + minutes * MINUTE_MS;
    check(
        &line(&night),
        &[at(29), at(100), at(101), at(-1), at(314)],
        Look::plain(60),
        "
      concurrent viewers (sessions)
      │                         ▼ 1,200 at 03-14 22:01:05
1,200 ┤                         █
      │                         █
      │                         █
  900 ┤                         █
      │                         █   ▁▃▅▇██▅▁
      │                         █▃▅▇████████▆▂
  600 ┤                     ▂▄▆███████████████▇▄▁
      │                 ▂▄▆██████████████████████▆▂
      │            ▁▂▄▆████████████████████████████▇▄
  300 ┤        ▁▃▅▇███████████████████████████████████▅▁
      │    ▁▃▅▇█████████████████████████████████████████▆▃
      │▂▄▆████████████████████████████████████████████████▇▄
    0 ┼─────┼─────────┬─┴───────┬─────────┬─────────┬───────
          20:00     21:00     22:00     23:00     00:00
          03-14                                   03-15
       a column is 5.9 min, as high as its greatest instant
       ┴ retweets (3)
",
    );
}

#[test]
fn minutes_that_are_not_complete_are_marked_below_the_axis() {
    check(
        &AiringLine { incomplete: vec![2, 3], ..line(&[0, 1, 3, 2, 1]) },
        &[1_773_516_660_000 + 90_000],
        Look::plain(60),
        "
  concurrent viewers (sessions)
4 ┤
  │
  │            ▼ 3 at 19:33:05
3 ┤            ██████
  │            ██████
  │            ██████
2 ┤            ████████████
  │            ████████████
  │            ████████████
1 ┤      ████████████████████████
  │      ████████████████████████
  │      ████████████████████████
0 ┼──────┬──┴────────┬───────────
       19:32       19:34
               ░░░░░░░░░░░░
   ┴ retweets (1) · ░ not complete (2 min)
",
    );
    // Of minutes that share a column one is enough.
    let night = AiringLine { incomplete: vec![0, 100, 101, 299], ..line(&[7; 300]) };
    let drawn = airing(&night, &[], &Zone::utc(), Look::plain(53));
    let marks = drawn.lines().find(|line| line.trim_start().starts_with('░')).unwrap_or_default();
    assert_eq!(marks, format!("   ░{}░{}░", " ".repeat(15), " ".repeat(32)));
    assert!(
        drawn.contains("2026-03-14 19:31  not complete\n") && drawn.contains("not complete        events were lost")
    );
}

const HOUR: Ms = 3_600_000;

#[test]
fn days_stand_below_the_times_where_there_are_several() {
    let mut days = vec![2; 5 * 1_440];
    days[3_660] = 9;
    check(
        &line(&days),
        &[],
        Look::plain(70),
        "
   concurrent viewers (sessions)
12 ┤
   │
   │                                 ▼ 9 at 03-17 08:31:05
 9 ┤                                 █
   │                                 █
   │                                 █
 6 ┤                                 █
   │                                 █
   │                                 █
 3 ┤                                 █
   │██████████████████████████████████████████████████████████████████
   │██████████████████████████████████████████████████████████████████
 0 ┼──┬────────────┬────────────┬─────────────┬────────────┬──────────
    03-15        03-16        03-17         03-18        03-19
    a column is 109.1 min, as high as its greatest instant
",
    );
    // A day that is no more than a minute has its word, too.
    check(
        &line(&[3; 270]),
        &[],
        Look::plain(60),
        "
  concurrent viewers (sessions)
4 ┤
  │
  │▼ 3 at 03-14 19:31:05
3 ┤█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
2 ┤█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
1 ┤█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
0 ┼──────┬───────────┬────────────┬────────────┬───────────┬
       20:00       21:00        22:00        23:00     00:00
       03-14                                           03-15
   a column is 4.7 min, as high as its greatest instant
",
    );
}

#[test]
fn weeks_have_the_days_alone() {
    check(
        &line(&[1; 21 * 1_440]),
        &[],
        Look::plain(60),
        "
  concurrent viewers (sessions)
4 ┤
  │
  │
3 ┤
  │
  │
2 ┤
  │
  │▼ 1 at 03-14 19:31:05
1 ┤█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
  │█████████████████████████████████████████████████████████
0 ┼───────────┬──────────────────┬──────────────────┬───────
            03-19              03-26              04-02
   a column is 530.5 min, as high as its greatest instant
",
    );
}

#[test]
fn times_are_those_of_the_zone_through_a_change_of_its_clocks() {
    // At 20:31 UTC clocks go back from two hours ahead to one: 21:31 to 22:30 is there twice.
    let change = 1_773_516_660_000 + HOUR;
    let zone = Zone::of("Here/There", vec![(0, 2 * HOUR), (change, HOUR)]);
    let drawn = airing(&line(&[1, 3]), &[], &zone, Look::plain(80));
    for part in ["gala-2026  2026-03-14 21:31\n", "people, at 21:32:05 ·", "Times               Here/There\n"] {
        assert!(drawn.contains(part), "no {part:?}:\n{drawn}");
    }
    check_in(
        &zone,
        &line(&(1..300).collect::<Vec<i64>>()),
        &[],
        Look::plain(70),
        "
    concurrent viewers (sessions)
    │                                          299 at 03-15 01:29:05 ▼
320 ┤                                                               ▁▂
    │                                                          ▂▃▄▆▇██
    │                                                    ▁▃▄▆▇████████
240 ┤                                              ▁▂▄▅▇██████████████
    │                                        ▁▂▄▅▇████████████████████
    │                                  ▁▂▃▅▆██████████████████████████
160 ┤                             ▂▃▅▆▇███████████████████████████████
    │                       ▁▃▄▆▇█████████████████████████████████████
    │                 ▁▃▄▅▇███████████████████████████████████████████
 80 ┤           ▁▂▄▅▆█████████████████████████████████████████████████
    │     ▁▂▃▅▆▇██████████████████████████████████████████████████████
    │▂▃▄▆▇████████████████████████████████████████████████████████████
  0 ┼──────┬────────────┬────────────┬────────────┬────────────┬──────
         22:00        22:00        23:00        00:00        01:00
         03-14                                  03-15
     a column is 4.6 min, as high as its greatest instant
",
    );
}

#[test]
fn a_peak_at_the_right_has_its_words_at_the_left() {
    let rising: Vec<i64> = (0..40).map(|minute| minute * 10).collect();
    let drawn = airing(&line(&rising), &[], &Zone::utc(), Look::plain(50));
    assert!(drawn.contains("390 at 20:10:05 ▼\n"), "{drawn}");
}

#[test]
fn the_head_has_the_numbers_and_the_foot_their_definitions() {
    let mut provisional = AiringLine { provisional: true, ..line(&[1, 2]) };
    provisional.broadcast_id = "a\x1b[2Jb".to_owned();
    let drawn = airing(&provisional, &[], &Zone::utc(), Look::plain(80));
    assert!(
        drawn.starts_with(
            "a\u{fffd}[2Jb  2026-03-14 19:31  provisional\n\
             Peak 2 concurrent viewers, as many people, at 19:32:05 · AMA 612.4 ·\n\
             airtime 5 h 14 min · reach 3,020 · sessions 3,911 · watch time 3,205 h\n\n"
        ),
        "{drawn}"
    );
    for (term, definition) in TERMS.iter().chain([&PROVISIONAL]) {
        let words = drawn.replace('\n', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("{term} {definition}")), "no {term}:\n{drawn}");
    }
}

#[test]
fn people_are_said_where_they_are_fewer_than_sessions() {
    let head = |distinct| {
        let drawn = airing(&AiringLine { distinct, ..line(&[1, 1_200]) }, &[], &Zone::utc(), Look::plain(80));
        drawn.lines().skip(1).take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
    };
    let at = Some(1_773_516_660_000 + 66_000);
    assert_eq!(
        head(Some(DistinctAiring { max: 1_187, max_at: at, ms: 5, returns: 0 })),
        "Peak 1,200 concurrent viewers at 19:32:05 ·\n\
         1,187 concurrent people at 19:32:06 · AMA 612.4 · airtime 5 h 14 min ·\n\
         reach 3,020 · sessions 3,911 · watch time 3,205 h\n"
    );
    // Version 1 of the contract did not count them.
    assert!(head(None).starts_with("Peak 1,200 concurrent viewers at 19:32:05 · AMA 612.4 ·"), "{}", head(None));
}

#[test]
fn nobody_is_an_empty_curve() {
    let nobody = AiringLine { viewers_mean: None, airtime_ms: None, ..line(&[0]) };
    let drawn = airing(&nobody, &[nobody.airing_at], &Zone::utc(), Look::plain(60));
    assert!(drawn.contains("Peak 0 · reach 3,020"), "{drawn}");
    assert!(drawn.contains("0 ┼┼─────\n 19:31\n"), "{drawn}");
    assert!(!drawn.contains('█') && !drawn.contains('▼'), "{drawn}");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let retweets = [1_773_516_660_000];
    assert!(!airing(&line(&[1, 2]), &retweets, &Zone::utc(), Look::plain(80)).contains('\x1b'));
    let drawn = airing(&line(&[1, 2]), &retweets, &Zone::utc(), Look { width: 80, colour: true });
    for painted in ["\x1b[36m", "\x1b[35m┴\x1b[0m", "\x1b[1m▼ 2 at 19:32:05\x1b[0m", "\x1b[2mReach"] {
        assert!(drawn.contains(painted), "no {painted:?}:\n{drawn}");
    }
}

#[test]
fn the_scale_is_round_and_holds_the_peak() {
    for (viewers, step) in [(0, 1), (1, 1), (4, 1), (5, 2), (9, 3), (1_187, 300), (81_220, 25_000), (100_001, 30_000)] {
        assert_eq!(step_for(viewers), step, "{viewers}");
    }
    assert!(full(step_for(i64::MAX)) >= i64::MAX - 3);
}
