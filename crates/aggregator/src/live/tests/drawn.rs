//! The live curve, drawn: one line a viewer, one column a minute, the curve below.

use super::*;

/// Joins, heartbeats, leaves, retweets and ends happen at these seconds of their minute: `J` joins, `h` gives a sign of
/// life, `L` leaves, `R` passes the broadcast on, `E` ends it. An event comes at the end of its minute; written small,
/// `j`, `l`, `e`, it comes two minutes later. The watermark follows minute by minute, without lateness.
fn event_of(letter: char) -> Option<(Kind, Ms, usize)> {
    Some(match letter {
        'J' => (Kind::Join, 0, 0),
        'h' => (Kind::Heartbeat, 10_000, 0),
        'R' => (Kind::Retweet, 20_000, 0),
        'L' => (Kind::Leave, 30_000, 0),
        'E' => (Kind::End, 59_000, 0),
        'j' => (Kind::Join, 0, 2),
        'l' => (Kind::Leave, 30_000, 2),
        'e' => (Kind::End, 59_000, 2),
        _ => return None,
    })
}

/// Plays a drawing, and draws the rows below it: the airing of each minute, the greatest number of viewers, and what
/// else is asked for.
fn check(rules: Rules, drawing: &str, below: &str) {
    let mut coming = BTreeMap::<usize, Script>::new();
    for (viewer, line) in (1..).zip(drawing.lines().map(str::trim).filter(|line| !line.is_empty())) {
        let columns = line.split_once(char::is_whitespace).map_or("", |(_, columns)| columns);
        for (column, letter) in columns.trim_start().chars().enumerate() {
            let Some((kind, ms, late)) = event_of(letter) else { continue };
            let ts = T + Ms::try_from(column).expect("a short drawing") * 60_000 + ms;
            let script = coming.entry(column + late).or_default();
            match kind {
                Kind::Retweet => script.retweet(0, viewer, 0, Some(7), ts),
                Kind::End => script.add(kind, 0, 0, 0, ts),
                _ => script.add(kind, 0, viewer, viewer, ts),
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
