//! The live curve, drawn: one line a viewer, one column a minute, the curve below.

use super::*;

/// Joins, heartbeats, leaves, retweets and ends happen at these seconds of their minute: `J` joins, `h` gives a sign of
/// life, `L` leaves, `R` passes the broadcast on, `E` ends it. An event comes at the end of its minute; written small,
/// `j`, `l`, `r`, `e`, it comes two minutes later. The watermark follows minute by minute, without lateness. A line
/// whose name ends in `'` is the second device of the viewer before.
fn event_of(letter: char) -> Option<(Kind, Ms, usize)> {
    Some(match letter {
        'J' => (Kind::Join, 0, 0),
        'h' => (Kind::Heartbeat, 10_000, 0),
        'R' => (Kind::Retweet, 20_000, 0),
        'L' => (Kind::Leave, 30_000, 0),
        'E' => (Kind::End, 59_000, 0),
        'j' => (Kind::Join, 0, 2),
        'l' => (Kind::Leave, 30_000, 2),
        'r' => (Kind::Retweet, 20_000, 2),
        'e' => (Kind::End, 59_000, 2),
        _ => return None,
    })
}

/// Plays a drawing, and draws the rows below it: the airing of each minute, the greatest number of viewers, and what
/// else is asked for.
fn check(rules: Rules, drawing: &str, below: &str) {
    let mut coming = BTreeMap::<usize, Script>::new();
    let mut viewer = 0;
    for (number, line) in (1..).zip(drawing.lines().map(str::trim).filter(|line| !line.is_empty())) {
        let (name, columns) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if !name.ends_with('\'') {
            viewer = number;
        }
        for (column, letter) in columns.trim_start().chars().enumerate() {
            let Some((kind, ms, late)) = event_of(letter) else { continue };
            let ts = T + Ms::try_from(column).expect("a short drawing") * 60_000 + ms;
            let script = coming.entry(column + late).or_default();
            match kind {
                Kind::Retweet => script.retweet(0, viewer, 0, Some(7), ts),
                Kind::End => script.add(kind, 0, 0, 0, ts),
                _ => script.add(kind, 0, viewer, number, ts),
            }
        }
    }
    let mut alone = LiveAlone::new(rules, 2);
    let mut rows = Vec::new();
    for column in 0..=coming.keys().last().copied().unwrap_or(0) {
        for event in coming.get(&column).iter().flat_map(|script| &script.events) {
            let lane = usize::from(event.viewer % 2 == 1);
            alone.lanes[lane].push(*event, &coming[&column].details);
        }
        rows.extend(alone.advance(T + Ms::try_from(column + 1).expect("a short drawing") * 60_000));
    }
    rows.extend(alone.finish());
    audit(&sorted(rows.clone()));
    let mut drawn = String::new();
    for line in below.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let of: fn(&MinuteRow) -> i64 = match name {
            "airing" => |row| (row.airing_at - T) / 60_000,
            "viewers" => |row| row.viewers_max,
            "distinct" => |row| row.distinct.map_or(-1, |distinct| distinct.max),
            "late" => |row| row.late,
            "lapses" => |row| row.lapses,
            "backdated" => |row| row.lapses_backdated,
            "new" => |row| row.new_viewers,
            "retweets" => |row| row.retweets,
            other => panic!("no such line: {other}"),
        };
        let width = line.len() - line.trim_start_matches(|c: char| !c.is_whitespace()).trim_start().len();
        let columns =
            (0i64..).map(|column| T + column * 60_000).take_while(|at| rows.iter().any(|row| row.minute_at >= *at));
        let cells = columns.map(|at| {
            // Two airings may meet in a minute: the later one is drawn.
            rows.iter()
                .filter(|row| row.minute_at == at)
                .max_by_key(|row| row.airing_at)
                .map_or(".".into(), |row| of(row).to_string())
        });
        drawn += &format!("{name:width$}{}\n", cells.collect::<String>());
    }
    let below: String =
        below.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    assert_eq!(drawn, below);
}

fn idle(minutes: Ms) -> Rules {
    Rules { broadcast_idle: minutes * 60_000, ..Rules::default() }
}

#[test]
fn a_show_with_a_pause() {
    check(
        idle(5),
        "ann      .J.L....J.L
         bob      ..J...L....
         cid      ....R......
         show     ..........E",
        "airing   .1111111111
         viewers  .1221110111
         new      .1100000000
         retweets .0001000000",
    );
}

#[test]
fn a_late_leave_counts_when_it_comes() {
    // bob left in minute 2, which is known at the start of minute 4.
    check(
        idle(5),
        "ann      J.....L
         bob      J.l....",
        "viewers  2222111
         late     0000100",
    );
}

#[test]
fn a_late_join_from_before_an_end_changes_only_late() {
    check(
        idle(5),
        "ann      J......
         bob      .j.....
         show     ..E....
         cid      ....J.L",
        "viewers  1110111
         late     0001000",
    );
}

#[test]
fn an_airing_that_falls_silent() {
    // The airing's last event is bob's join, in minute 3: after five minutes of silence, as minute 8 begins, what is
    // open lapses, and the next join opens a new airing.
    check(
        idle(5),
        "ann      .J.........
         bob      ...J.......
         cid      .........JL
         dan      ..........E",
        "airing    .1111111199
         viewers   .1122222011
         lapses    .0000000200
         backdated .0000000200",
    );
}

#[test]
fn the_data_end_while_some_are_there() {
    // No silence has passed: what is open lapses where the watermark stands, and no minute comes after.
    check(
        idle(60),
        "ann      .J..
         bob      ...J",
        "airing    .1111
         viewers   .1120
         lapses    .0002
         backdated .0002",
    );
}

#[test]
fn off_air_heartbeats_open_nothing_and_ends_are_repeated() {
    check(
        Rules { end_idle: None, ..idle(60) },
        "ann      J.h.h....
         bob      J..h..J.L
         show     ..E.E...E",
        "airing   000000000
         viewers  222000111
         lapses   002000000
         new      200000000",
    );
}

#[test]
fn an_end_parts_two_airings() {
    // Off air from the end of minute 1 on, for three minutes: the retweet is of an airing without an audience, which
    // the next show does not go on with.
    check(
        Rules { end_idle: Some(180_000), ..idle(60) },
        "ann      J..........
         show     .E.........
         eve      ......R....
         bob      ........J.L",
        "airing   00....6.888
         viewers  11....0.111
         new      10....0.100
         retweets 00....1.000",
    );
}

#[test]
fn a_late_retweet_does_not_bring_a_show_back() {
    // It was of minute 3, which is known at the start of minute 5: the airing was over by then.
    check(
        Rules { end_idle: Some(180_000), ..idle(60) },
        "ann      J.......
         show     .E......
         eve      ...r....
         bob      ......JL",
        "airing   00...566
         viewers  11...011
         late     00...100
         retweets 00...100",
    );
}

#[test]
fn a_heartbeat_soon_after_the_leave_straggles() {
    check(
        idle(60),
        "ann      J.Lh.h.L",
        "viewers  11100111
         new      10000000",
    );
}

#[test]
fn two_devices_are_one_viewer() {
    check(
        idle(60),
        "ann      J.....L
         ann'     .J..L..
         bob      ..J..L.",
        "viewers  1233321
         distinct 1122221
         new      1010000",
    );
}

#[test]
fn a_session_that_is_passed_on_leaves_no_gap() {
    // The second device is there before the first is gone, and the end closes what is left.
    check(
        Rules { session_timeout: Some(150_000), ..idle(60) },
        "ann      Jh.......
         ann'     ..Jhhh...
         bob      ...Jh.h..
         show     .......E.",
        "viewers  11232222
         distinct 11122222
         lapses   00010002",
    );
}
