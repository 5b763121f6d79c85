//! What goes into a file comes out of it.

use super::*;

#[test]
fn airings_come_back() {
    let extremes = AiringRow {
        airing_at: TS_MIN,
        last_at: TS_END - 1,
        airtime_ms: Some(0),
        viewer_ms: i64::MAX,
        sessions: i64::MAX,
        stays: vec![Stay { ms: 0, sessions: 1 }, Stay { ms: i64::MAX, sessions: i64::MAX }],
        ..airing(3, NOON)
    };
    let long = AiringRow { airtime_ms: Some(TS_END - 1), viewer_ms: i64::MAX, ..airing(4, NOON) };
    let rows = [airing(2, NOON), empty_airing(1, NOON), extremes, airing(0, NOON), long];
    let file = open(Table::Airings, &written(TableRows::Airings(&rows)));
    assert_eq!(file.rows(), 5);
    let back: Vec<_> = file.airings(number).unwrap().flat_map(Result::unwrap).collect();
    assert_eq!(back, rows);
}

#[test]
fn minutes_and_live_come_back() {
    let silent = MinuteRow { stays: Vec::new(), viewer_ms: 0, complete: false, ..minute(3, NOON) };
    let busy = MinuteRow {
        viewer_ms: i64::MAX,
        late: 5,
        lapses_backdated: 6,
        stays: (0..5_000).map(|ms| Stay { ms, sessions: ms + 1 }).collect(),
        ..minute(0, NOON + 60_000)
    };
    let rows: Vec<MinuteRow> = (0..2_500).map(|at| minute(2, NOON + at * 60_000)).chain([silent, busy]).collect();
    for (table, rows_of) in [(Table::Minutes, TableRows::Minutes(&rows)), (Table::Live, TableRows::Live(&rows))] {
        let back: Vec<_> = open(table, &written(rows_of)).minutes(number).unwrap().flat_map(Result::unwrap).collect();
        assert_eq!(back, rows);
    }
}

#[test]
fn corrections_come_back() {
    let other =
        |minute_at| MinuteRow { airing_at: NOON - 1, viewers_max: 9, stays: Vec::new(), ..minute(2, minute_at) };
    let moved = |at: i64| CorrectionRow { before: Some(other(NOON + at)), ..correction(2, NOON + at) };
    let gone = CorrectionRow {
        after: None,
        before: Some(minute(3, NOON)),
        late_events: 0,
        late_span: None,
        rules_changed: true,
        ..correction(3, NOON)
    };
    let rows: Vec<CorrectionRow> = (0..1_500).map(|at| moved(at * 60_000)).chain([gone, correction(0, NOON)]).collect();
    let file = open(Table::Corrections, &written(TableRows::Corrections(&rows)));
    let back: Vec<_> = file.corrections(number).unwrap().flat_map(Result::unwrap).collect();
    assert_eq!(back, rows);
}

#[test]
fn sessions_come_back() {
    let mut details = Details::new();
    let mut rows: Vec<SessionRow> = (0..40_000).map(|viewer| session(2, viewer, NOON + 7)).collect();
    let long = "é".repeat(128);
    for (row, ended) in rows.iter_mut().step_by(9_000).zip(Ended::ALL) {
        row.ended = ended;
        row.via = details.push(Detail::Via(&long));
    }
    let last = SessionRow { session: 0, left_at: NOON, ..session(3, u128::MAX, NOON) };
    rows.extend([SessionRow { via: details.push(Detail::Via("42")), ..session(0, 0, TS_MIN) }, last]);
    let mut back = Vec::new();
    for batch in open(Table::Sessions, &written(TableRows::Sessions(&rows, &details))).sessions(number).unwrap() {
        let (batch, strings) = batch.unwrap();
        back.extend(batch.into_iter().map(|row| SessionRow { via: adopted(&mut details, row.via, &strings), ..row }));
    }
    let texts = |rows: &[SessionRow]| -> Vec<_> {
        rows.iter()
            .map(|row| (SessionRow { via: 0, ..*row }, details.get(row.via)))
            .map(|it| format!("{it:?}"))
            .collect()
    };
    assert_eq!(texts(&back), texts(&rows));
}

fn adopted(details: &mut Details, place: u32, from: &Details) -> u32 {
    from.get(place).map_or(NO_DETAIL, |detail| details.push(detail))
}

#[test]
fn retweets_come_back() {
    let mut details = Details::new();
    let mut rows = vec![retweet(&mut details, 2, "t1", NOON)];
    for (followers, retweet_of) in [(Some(0), None), (Some(1_000_000_000_000), Some("📺")), (None, Some("t1"))] {
        let said = RetweetDetail { tweet_id: "t2", user_id: "ü", followers, retweet_of };
        rows.push(RetweetRow { detail: details.push(Detail::Retweet(said)), ..rows[0] });
    }
    let file = open(Table::Retweets, &written(TableRows::Retweets(&rows, &details)));
    let (back, strings) = file.retweets(number).unwrap().next().unwrap().unwrap();
    assert_eq!(back.len(), rows.len());
    for (back, row) in back.iter().zip(&rows) {
        assert_eq!(strings.get(back.detail), details.get(row.detail));
        assert_eq!(RetweetRow { detail: row.detail, ..*back }, *row);
    }
}

#[test]
fn rejected_events_come_back() {
    let mut rows: Vec<RejectedRow> = Reason::ALL
        .into_iter()
        .map(|reason| RejectedRow { rejection: Rejection::of(reason, Field::Followers), ..rejected(0, 0, NOON) })
        .collect();
    rows.push(RejectedRow { rejection: Rejection::of(Reason::MissingField, Field::RetweetOf), ..rejected(0, 1, NOON) });
    rows.push(RejectedRow { payload: None, payload_bytes: 0, offset: i64::MAX, ..rejected(i32::MAX, 0, 0) });
    rows.push(RejectedRow {
        payload: Some(Vec::new()), source: Arc::from("données/é.ndjson"), ..rejected(0, 0, NOON)
    });
    rows.push(RejectedRow { payload: Some(vec![0xff; PAYLOAD_MAX]), payload_bytes: i64::MAX, ..rejected(0, 2, NOON) });
    let back: Vec<_> = open(Table::Rejected, &written(TableRows::Rejected(&rows)))
        .rejected()
        .unwrap()
        .flat_map(Result::unwrap)
        .collect();
    assert_eq!(back, rows);
    let long = RejectedRow { payload: Some(vec![b'x'; PAYLOAD_MAX + 1]), ..rejected(0, 0, NOON) };
    let cut =
        open(Table::Rejected, &written(TableRows::Rejected(&[long]))).rejected().unwrap().next().unwrap().unwrap();
    assert_eq!(cut[0].payload.as_ref().map(Vec::len), Some(PAYLOAD_MAX));
}

#[test]
fn events_come_back_in_the_order_in_which_they_are_settled() {
    let mut details = Details::new();
    let sources = [Arc::from("topic"), Arc::from("other")];
    let via = details.push(Detail::Via("t9"));
    let joined = Event::new(Kind::Join, 2, 500, 501, TS_MIN, via);
    let mut rows = vec![
        LoggedEvent {
            event: joined,
            late_at: TS_MIN + 5,
            commit: i64::MAX,
            offset: i64::MAX,
            source: 1,
            partition: i32::MAX,
        },
        event(Kind::Heartbeat, 2, u128::MAX, TS_END - 1),
        end(2, NOON + 7),
        end(2, NOON + 5),
        event(Kind::Leave, 0, 3, NOON),
        tweet(&mut details, 0, "t9", NOON + 1),
        tweet(&mut details, 0, "t1", NOON + 2),
    ];
    // More than a batch of viewers, and retweets that fall between and behind them, twice the same.
    rows.extend((0..20_000).map(|viewer| event(Kind::Join, 2, viewer * 3, NOON + 3)));
    rows.extend(
        [7_000, 40_000, 1, 99_999, 40_000].map(|id| tweet(&mut details, 2, &format!("t{id}"), NOON + 99_999 - id)),
    );
    sort_events(&mut rows, &names());
    let kinds: Vec<Kind> = rows.iter().map(|row| row.event.kind()).take(8).collect();
    assert_eq!(
        kinds[..6].iter().filter(|kind| **kind == Kind::Retweet).count(),
        4,
        "retweets and ends come first: {kinds:?}"
    );
    let mut back = Vec::new();
    for batch in open(Table::Events, &written(TableRows::Events(&rows, &details, &sources)))
        .events(number, source, fingerprint)
        .unwrap()
    {
        let (batch, strings) = batch.unwrap();
        back.extend(batch.into_iter().map(|row| LoggedEvent { event: details.adopt(row.event, &strings), ..row }));
    }
    // a, then é: the order of ids; inside, that of events.
    rows.sort_by_key(|row| (row.event.broadcast == 0, row.event, row.offset));
    let texts = |rows: &[LoggedEvent]| -> Vec<_> {
        let bare = |mut row: LoggedEvent| {
            row.event.detail = 0;
            row
        };
        rows.iter().map(|row| format!("{:?} {:?}", bare(*row), details.get(row.event.detail))).collect()
    };
    assert_eq!(texts(&back), texts(&rows));
}
