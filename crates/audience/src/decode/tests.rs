//! Every rejection reason, and the property that the quick and the strict path never disagree.

use super::*;
use proptest::prelude::*;

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(|| Key([7; 16])))
}

/// `reason field`, or `kind ts` of an accepted event.
fn told(text: &[u8]) -> String {
    match Decoder::new(registry()).decode(text, &mut Details::new()) {
        Ok(event) => format!("{} {}", event.kind().word(), event.ts()),
        Err(Rejection { reason, field }) => format!("{} {}", reason.word(), field.word()).trim_end().to_string(),
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(told(text.as_bytes()), expected, "{text}");
}

#[test]
fn the_whole_event() {
    check(" \t\r", "empty");
    assert_eq!(told(&vec![b'x'; EVENT_BYTES_MAX + 1]), "too_large");
    assert_eq!(told(&vec![b'x'; EVENT_BYTES_MAX]), "not_json");
    assert_eq!(told(b"{\"type\":\"\xff\"}"), "not_utf8");
    check(r#"{"type":"join","t\u0079pe":"join"}"#, "repeated_field");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":[{"a":1,"\u0061":2}]}"#, "repeated_field");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":"\ud800"}"#, "not_json");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":"\udc00\ud800"}"#, "not_json");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":"\ud83d\ude00"}"#, "end 1459711860000");
    // Whoever reads a file passes over the mark at its very beginning, and nobody else does.
    check("\u{feff}{}", "not_json");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":1e400}"#, "end 1459711860000");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":NaN}"#, "not_json");
    check(r#"{"type":"end","broadcast_id":"b","ts":1459711860000,"x":01}"#, "not_json");
    check("{\"type\":\"a\tb\"}", "not_json");
    check("[1]", "not_an_object");
    check("null", "not_an_object");
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"type":"end","broadcast_id":"b","ts":1459711860000,"x":{open}{close}}}"#)
    };
    check(&nested(128), "end 1459711860000");
    check(&nested(129), "not_json");
}

#[test]
fn field_by_field() {
    check("{}", "missing_field type");
    check(r#"{"type":1}"#, "wrong_type type");
    check(r#"{"type":"Join"}"#, "unknown_type type");
    check(r#"{"type":"join"}"#, "missing_field broadcast_id");
    check(r#"{"type":"join","broadcast_id":null}"#, "missing_field broadcast_id");
    check(r#"{"type":"join","broadcast_id":1.0}"#, "wrong_type broadcast_id");
    check(r#"{"type":"join","broadcast_id":""}"#, "empty_id broadcast_id");
    check(&format!(r#"{{"type":"join","broadcast_id":"{}"}}"#, "é".repeat(129)), "id_too_long broadcast_id");
    check(r#"{"type":"join","broadcast_id":-0}"#, "missing_field ts");
    check(r#"{"type":1.0}"#, "wrong_type type");
    check(r#"{"type":"join","broadcast_id":"b","ts":true}"#, "wrong_type ts");
    check(r#"{"type":"join","broadcast_id":"b","ts":1459711860}"#, "timestamp_out_of_range ts");
    check(r#"{"type":"join","broadcast_id":"b","ts":99999999999999999999999}"#, "timestamp_out_of_range ts");
    check(r#"{"type":"join","broadcast_id":"b","ts":1459711860000}"#, "missing_field viewer_id");
    check(
        r#"{"type":"leave","broadcast_id":"b","ts":1459711860000,"viewer_id":4,"session_id":[]}"#,
        "wrong_type session_id",
    );
    check(r#"{"type":"join","broadcast_id":"b","ts":1459711860000,"viewer_id":4,"via":""}"#, "empty_id via");
    check(r#"{"type":"leave","broadcast_id":"b","ts":1459711860000,"viewer_id":4,"via":""}"#, "leave 1459711860000");
    check(r#"{"type":"retweet","broadcast_id":"b","ts":1459711860000}"#, "missing_field tweet_id");
    check(r#"{"type":"retweet","broadcast_id":"b","ts":1459711860000,"tweet_id":1}"#, "missing_field user_id");
    let retweet = |rest: &str| {
        format!(r#"{{"type":"retweet","broadcast_id":"b","ts":1459711860000,"tweet_id":1,"user_id":2,{rest}}}"#)
    };
    check(&retweet(r#""followers":1000000000000"#), "retweet 1459711860000");
    check(&retweet(r#""followers":1000000000001"#), "wrong_type followers");
    check(&retweet(r#""followers":1000000000000.00"#), "retweet 1459711860000");
    check(&retweet(r#""followers":1000000000001.0"#), "wrong_type followers");
    check(&retweet(r#""followers":22000.5"#), "wrong_type followers");
    check(&retweet(r#""followers":22000.0e0"#), "wrong_type followers");
    check(&retweet(r#""retweet_of":42.0"#), "wrong_type retweet_of");
    check(&retweet(r#""followers":-1"#), "wrong_type followers");
    check(&retweet(r#""followers":"5""#), "wrong_type followers");
    check(&retweet(r#""retweet_of":{}"#), "wrong_type retweet_of");
}

#[test]
fn times_of_day() {
    for (text, expected) in [
        ("2016-04-03T19:31:00Z", "end 1459711860000"),
        ("2016-04-03T21:31:00.0079+02:00", "end 1459711860007"),
        ("2016-04-03T21:31:00.5+02:00", "end 1459711860500"),
        ("2000-01-01T23:59:00+23:59", "end 946684800000"),
        ("2000-02-29T00:00:00Z", "end 951782400000"),
        ("1999-12-31T23:59:59.999Z", "timestamp_out_of_range ts"),
        ("0000-02-29T00:00:00Z", "timestamp_out_of_range ts"),
        ("2001-02-29T00:00:00Z", "bad_timestamp ts"),
        ("2016-04-03t19:31:00z", "end 1459711860000"),
        ("2016-04-03 21:31:00+0200", "end 1459711860000"),
        ("2016-04-02T19:32:00.25-2359", "end 1459711860250"),
        ("2016-04-03T19:30:60Z", "end 1459711860000"),
        ("2016-04-03 19:30:60.999999z", "end 1459711860999"),
        ("1999-12-31T23:59:60Z", "end 946684800000"),
        ("2099-12-31T23:59:60Z", "timestamp_out_of_range ts"),
        ("2016-04-03T19:31:61Z", "bad_timestamp ts"),
        ("2016-04-03_19:31:00Z", "bad_timestamp ts"),
        ("2016-04-03  19:31:00Z", "bad_timestamp ts"),
        ("2016-04-03T19:31:00 Z", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+02", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+2400", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+0060", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+02000", "bad_timestamp ts"),
        ("2016-04-03T19:31:00", "bad_timestamp ts"),
        ("2016-04-03T19:31:00.Z", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+24:00", "bad_timestamp ts"),
        ("2016-04-03T19:31:00+2:00", "bad_timestamp ts"),
        ("2016-13-03T19:31:00Z", "bad_timestamp ts"),
        ("2016-04-03T19:31:00Z ", "bad_timestamp ts"),
        ("", "bad_timestamp ts"),
        ("1459711860000", "end 1459711860000"),
        ("0001459711860000", "end 1459711860000"),
        ("00001459711860000", "bad_timestamp ts"),
        ("1459711860", "timestamp_out_of_range ts"),
        ("9999999999999999", "timestamp_out_of_range ts"),
        ("1459711860000.0", "bad_timestamp ts"),
        ("-1459711860000", "bad_timestamp ts"),
        ("+1459711860000", "bad_timestamp ts"),
        (" 1459711860000", "bad_timestamp ts"),
        ("145971186000０", "bad_timestamp ts"),
    ] {
        check(&format!(r#"{{"type":"end","broadcast_id":"b","ts":"{text}"}}"#), expected);
    }
    for (number, expected) in [
        ("1459711860000.0", "end 1459711860000"),
        ("1459711860000.00000000000000000000", "end 1459711860000"),
        ("1459711860000.5", "wrong_type ts"),
        ("1459711860000.00001", "wrong_type ts"),
        ("1459711860000.0e0", "wrong_type ts"),
        ("1459711860000e0", "wrong_type ts"),
        ("1459711860000.", "not_json"),
        ("01459711860000.0", "not_json"),
        ("-1459711860000.0", "timestamp_out_of_range ts"),
        ("-0.0", "timestamp_out_of_range ts"),
        ("99999999999999999999.0", "timestamp_out_of_range ts"),
    ] {
        check(&format!(r#"{{"type":"end","broadcast_id":"b","ts":{number}}}"#), expected);
    }
}

#[test]
fn an_integer_is_its_digits() {
    let mut decoder = Decoder::new(registry());
    let mut details = Details::new();
    let mut viewer =
        |text: &str| decoder.decode(text.as_bytes(), &mut details).map(|event| (event.viewer, event.session));
    let a = viewer(r#"{"type":"join","broadcast_id":"b","ts":1459711860000,"viewer_id":42}"#);
    let b = viewer(r#"{"type":"join","broadcast_id":"b","ts":1459711860000,"viewer_id":"4\u0032","session_id":"42"}"#);
    assert!(a.is_ok());
    assert_eq!(a, b);
}

/// Pieces that events are made of, and pieces that break them.
fn piece() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "type",
        "broadcast_id",
        "ts",
        "viewer_id",
        "session_id",
        "via",
        "tweet_id",
        "user_id",
        "followers",
        "retweet_of",
        "other",
        "t\\u0073",
    ]);
    let value = prop::sample::select(vec![
        "\"join\"",
        "\"leave\"",
        "\"retweet\"",
        "\"end\"",
        "1459711860000",
        "\"b\"",
        "42",
        "\"\"",
        "null",
        "true",
        "1.5",
        "0",
        "-7",
        "[1,{}]",
        "\"2016-04-03T19:31:00Z\"",
        "\"2016-04-03 19:31:60.5z\"",
        "\"2016-04-03t19:31:00+0200\"",
        "\"1459711860000\"",
        "\"14597118600\\u00300\"",
        "1459711860000.0",
        "22000.00",
        "-0.0",
        "7.0e0",
        "\"\\n\"",
        "\"é\"",
        "007",
        "1e3",
        "\"\\ud800\"",
        "12 ",
        " 9",
        "\"a\u{1}\"",
        "{\"a\":1,\"a\":2}",
    ]);
    (key, value).prop_map(|(key, value)| format!("\"{key}\":{value}"))
}

/// Numbers and strings of which many are a time.
fn time() -> impl Strategy<Value = String> {
    let date = "20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]";
    let rest = "(\\.[0-9]{1,5})?([Zz]|[+-][0-2][0-9]:?[0-6][0-9])";
    prop_oneof![
        (date, rest).prop_map(|(date, rest)| format!("\"{date}{rest}\"")),
        "[0-9]{1,18}".prop_map(|digits| format!("\"{digits}\"")),
        "-?1[0-9]{11,13}(\\.0{0,3}[05]?)?(e0)?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn quick_and_strict_agree_on_times(text in "[0-9TtZz:. +-]{0,30}", quote in any::<bool>(), likely in time()) {
        let quote = if quote { "\"" } else { "" };
        let event = |ts: &str| format!(r#"{{"type":"end","broadcast_id":"b","ts":{ts}}}"#);
        agree(&[event(&format!("{quote}{text}{quote}")).as_bytes(), event(&likely).as_bytes()])?;
    }

    #[test]
    fn quick_and_strict_agree(
        pieces in prop::collection::vec(piece(), 0..8), cut in 0usize..200, flip in any::<Option<(u8, u8)>>()
    ) {
        let head = r#"{"type":"join","broadcast_id":"b","ts":1459711860000"#;
        let mut bytes = format!("{head},{}}}", pieces.join(",")).into_bytes();
        if cut < 20 {
            bytes.truncate(bytes.len().saturating_sub(cut));
        }
        if let Some((at, byte)) = flip {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let free = format!("{{{}}}", pieces.join(" , "));
        // Without the fixed beginning, too: the order of keys is free. Each comes before and after the other and
        // itself, since the quick path tries the order of the event before.
        agree(&[&bytes, &bytes, free.as_bytes(), free.as_bytes(), &bytes])?;
    }
}

fn agree(events: &[&[u8]]) -> Result<(), TestCaseError> {
    let shared = registry();
    let mut quick = Decoder::new(Arc::clone(&shared));
    let mut strict = Decoder::strict(shared);
    for bytes in events {
        let (mut quick_details, mut strict_details) = (Details::new(), Details::new());
        let found = quick.decode(bytes, &mut quick_details);
        prop_assert_eq!(found, strict.decode(bytes, &mut strict_details), "{}", String::from_utf8_lossy(bytes));
        if let Ok(event) = found {
            prop_assert_eq!(quick_details.get(event.detail), strict_details.get(event.detail));
        }
    }
    Ok(())
}

#[test]
fn integers_are_their_digits() {
    for text in [
        "0",
        "-0",
        "7",
        "1459711860000",
        "-145971186000",
        "9999999999999",
        "1000000000001",
        "1234567890123",
        "145971186000",
        "14597118600001",
    ] {
        assert_eq!(integer(text), text.parse().unwrap(), "{text}");
    }
    assert_eq!(integer("99999999999999999999"), Ms::MAX);
}
