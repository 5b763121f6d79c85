//! The tail of the log.

use super::*;

fn at(commit: i64, ts: i64, late_at: i64, viewer: u128) -> LoggedEvent {
    let event = Event::new(Kind::Join, 2, viewer, viewer, NOON + ts, NO_DETAIL);
    let late_at = if late_at == ON_TIME { ON_TIME } else { NOON + late_at };
    LoggedEvent { event, late_at, commit, offset: ts, source: 0, partition: 0 }
}

/// The tail that is read, as viewers.
fn tail(rows: &[LoggedEvent], commit: i64, watermark: i64) -> Vec<u128> {
    let bytes = written(TableRows::Events(rows, &Details::new(), &[Arc::from("topic")]));
    let file = open(Table::Events, &bytes).tail(commit, watermark);
    let mut viewers = Vec::new();
    for batch in file.events(number, source, fingerprint).unwrap() {
        viewers.extend(batch.unwrap().0.iter().map(|row| row.event.viewer));
    }
    viewers
}

#[test]
fn the_tail_is_later_commits_and_what_was_held() {
    // As merged files have them: of several commits, in the order of viewers.
    let rows = [at(5, 0, ON_TIME, 1), at(3, 10, ON_TIME, 2), at(4, 20, ON_TIME, 3), at(4, 2, 15, 4), at(4, 3, 14, 5)];
    assert_eq!(tail(&rows, 4, NOON + 15), [1, 3, 4]);
    assert_eq!(tail(&rows, 5, NOON + 15), [3, 4]);
    assert_eq!(tail(&rows, 5, NOON + 20), [3]);
    assert_eq!(tail(&rows, 5, NOON + 21), [0; 0]);
    assert_eq!(tail(&rows, 2, NOON + 21), [1, 2, 3, 4, 5]);
    assert_eq!(tail(&rows, 9, i64::MIN), [1, 2, 3, 4, 5]);
    // Where nothing was late, the column is null.
    assert_eq!(tail(&rows[..3], 9, NOON + 11), [3]);
}
