//! Lines that are no events, each with its reason and field, and lines that are events against all appearances; written
//! by hand from the contract, section 1.

use std::fs;

use crate::data_directory;
use crate::oracle::oracle;
use crate::reference::Rules;
use crate::support::{NO_FLAGS, folder, have, replay};
use crate::tables::{Table, difference};

/// Bytes, and the reason and field for which they are rejected; no reason for a line that is an event.
type Line = (Vec<u8>, &'static str, &'static str);

/// A retweet or a join of which one field is written out, the rest being in order.
fn with(kind: &str, field: &str, value: &str) -> Vec<u8> {
    let mut fields = vec![("type", format!("\"{kind}\"")), ("broadcast_id", "\"b\"".into())];
    fields.push(("ts", "1700000000000".into()));
    fields.extend(match kind {
        "retweet" => vec![("tweet_id", "\"t\"".to_owned()), ("user_id", "\"u\"".to_owned())],
        "end" => vec![],
        _ => vec![("viewer_id", "\"v\"".to_owned())],
    });
    fields.retain(|(name, _)| *name != field);
    if value != "absent" {
        fields.push((field, value.to_owned()));
    }
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}

/// An end with an unknown field.
fn extra(value: &str) -> Vec<u8> {
    with("end", "x", value)
}

fn whole_lines() -> Vec<Line> {
    let end = r#"{"type":"end","broadcast_id":"b","ts":1700000000000"#;
    let padded = |bytes: usize| format!("{end},\"x\":\"{}\"}}", "x".repeat(bytes - end.len() - 8)).into_bytes();
    let nested = |depth: usize| extra(&format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1)));
    let text = |line: &str, reason, field| (line.as_bytes().to_vec(), reason, field);
    let in_string = |bytes: &[u8]| [format!("{end},\"x\":\"").as_bytes(), bytes, b"\"}"].concat();
    vec![
        (padded(1_048_576), "", ""),
        (padded(1_048_577), "too_large", ""),
        // All before the LF counts, so a CR can be one byte too many.
        ([padded(1_048_576), b"\r".to_vec()].concat(), "too_large", ""),
        (vec![b'x'; 3_000_000], "too_large", ""),
        (in_string(b"\xff"), "not_utf8", ""),
        (in_string(b"\xed\xa0\x80"), "not_utf8", ""),
        (in_string(b"\xc0\x80"), "not_utf8", ""),
        (in_string(b"\xf5\x80\x80\x80"), "not_utf8", ""),
        (in_string("😀\u{7f}\u{2028}".as_bytes()), "", ""),
        (in_string(b"\0"), "not_json", ""),
        (in_string(b"\t"), "not_json", ""),
        (b"\0\0\0".to_vec(), "not_json", ""),
        (b"\x0c".to_vec(), "not_json", ""),
        ([extra("1"), b"\0".to_vec()].concat(), "not_json", ""),
        (["\u{feff}".as_bytes(), &extra("1")].concat(), "not_json", ""),
        ([extra("1"), "\u{a0}".into()].concat(), "not_json", ""),
        ([b" \t".to_vec(), extra("1"), b" \t\r".to_vec()].concat(), "", ""),
        ([extra("1"), extra("1")].concat(), "not_json", ""),
        (nested(128), "", ""),
        (nested(129), "not_json", ""),
        (nested(40_000), "not_json", ""),
        text(&format!(r#"{end},"ts":1700000000000}}"#), "repeated_field", ""),
        text(&format!(r#"{end},"t\u0073":1700000000000}}"#), "repeated_field", ""),
        text(&format!(r#"{end},"x":{{"a":1,"b":2,"\u0061":3}}}}"#), "repeated_field", ""),
        text(&format!(r#"{end},"x":[[{{"":1,"":1}}]]}}"#), "repeated_field", ""),
        text(&format!(r#"{end},"x":"y","X":"y","x ":1}}"#), "", ""),
        text(&format!(r#"{end},"x":[{{"a":1}},{{"a":1}}]}}"#), "", ""),
        text(r#"[{"a":1,"a":1}]"#, "repeated_field", ""),
        text(r#"[{"type":"end"}]"#, "not_an_object", ""),
        text("null", "not_an_object", ""),
        text("\"{}\"", "not_an_object", ""),
        text("1700000000000", "not_an_object", ""),
        text("{}", "missing_field", "type"),
        text("join,b,1700000000000,v", "not_json", ""),
        text(&format!("{end},}}"), "not_json", ""),
        text(end, "not_json", ""),
        text(&end.replace('"', "'"), "not_json", ""),
    ]
}

fn unknown_values() -> Vec<Line> {
    let good = [
        "1e400",
        "-0",
        "-0.0e-9",
        "1E+3",
        "123456789012345678901234567890",
        r#""\ud83d\ude00""#,
        r#""\u0000\/\b""#,
        "[ ]",
        "{ }",
        "[1 , 2]",
        r#"{"type":7,"ts":null}"#,
        "true",
        r#""\uD834\udd1e""#,
    ];
    let bad = [
        "NaN",
        "Infinity",
        "-",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "0x1",
        "1_000",
        "tru",
        "True",
        "nul",
        "[1,]",
        "[1 2]",
        "[",
        r#""\x""#,
        r#""\u12g4""#,
        r#""\u12"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{1:1}"#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\ud83dx""#,
        r#"{"\ud83d":1}"#,
        r#""\ud83d\ud83d\ude00""#,
        "/**/1",
        r#""\""#,
    ];
    let good = good.iter().map(|value| (extra(value), "", ""));
    good.chain(bad.iter().map(|value| (extra(value), "not_json", ""))).collect()
}

fn ids() -> Vec<Line> {
    let fields = [
        ("end", "broadcast_id", true),
        ("join", "viewer_id", true),
        ("heartbeat", "session_id", false),
        ("join", "via", false),
        ("retweet", "tweet_id", true),
        ("retweet", "user_id", true),
        ("retweet", "retweet_of", false),
    ];
    let quoted = |id: &str| format!("\"{id}\"");
    let mut lines = Vec::new();
    for (kind, field, required) in fields {
        let missing = if required { "missing_field" } else { "" };
        lines.extend([
            (with(kind, field, "absent"), missing, field),
            (with(kind, field, "null"), missing, field),
            (with(kind, field, "1.0"), "wrong_type", field),
            (with(kind, field, "1e3"), "wrong_type", field),
            (with(kind, field, "true"), "wrong_type", field),
            (with(kind, field, "[]"), "wrong_type", field),
            (with(kind, field, "{}"), "wrong_type", field),
            (with(kind, field, "\"\""), "empty_id", field),
            (with(kind, field, "-0"), "", field),
            (with(kind, field, &"9".repeat(256)), "", field),
            (with(kind, field, &"9".repeat(257)), "id_too_long", field),
            (with(kind, field, &format!("-{}", "9".repeat(256))), "id_too_long", field),
            (with(kind, field, &quoted(&"é".repeat(128))), "", field),
            (with(kind, field, &quoted(&"é".repeat(129))), "id_too_long", field),
            (with(kind, field, &quoted(&r"\u00e9".repeat(128))), "", field),
            (with(kind, field, &quoted(&r"\ud83d\ude00".repeat(64))), "", field),
            (with(kind, field, &quoted(&format!(r"{}\n", r"\ud83d\ude00".repeat(64)))), "id_too_long", field),
            (with(kind, field, r#""\u0000""#), "", field),
        ]);
    }
    lines
}

fn types_and_numbers() -> Vec<Line> {
    let followers = |value: &str| with("retweet", "followers", value);
    let of_type = |value: &str| with("end", "type", value);
    vec![
        (of_type("absent"), "missing_field", "type"),
        (of_type("null"), "missing_field", "type"),
        (of_type("5"), "wrong_type", "type"),
        (of_type("5.0"), "wrong_type", "type"),
        (of_type("[\"end\"]"), "wrong_type", "type"),
        (of_type("\"\""), "unknown_type", "type"),
        (of_type("\"End\""), "unknown_type", "type"),
        (of_type("\"end \""), "unknown_type", "type"),
        (of_type(r#""\u0065nd""#), "", ""),
        (followers("absent"), "", ""),
        (followers("null"), "", ""),
        (followers("0"), "", ""),
        (followers("-0"), "", ""),
        (followers("1000000000000"), "", ""),
        (followers("1000000000001"), "wrong_type", "followers"),
        (followers("18446744073709551616"), "wrong_type", "followers"),
        (followers("-1"), "wrong_type", "followers"),
        (followers("5.0"), "", ""),
        (followers("1000000000000.00"), "", ""),
        (followers("1000000000001.0"), "wrong_type", "followers"),
        (followers("-1.0"), "wrong_type", "followers"),
        (followers("5.01"), "wrong_type", "followers"),
        (followers("5."), "not_json", ""),
        (followers("5.0e0"), "wrong_type", "followers"),
        (followers("1e3"), "wrong_type", "followers"),
        (followers("\"5\""), "wrong_type", "followers"),
        // Only the fields of the event's own type are looked at.
        (with("end", "viewer_id", "1.5"), "", ""),
        (with("leave", "via", "\"\""), "", ""),
        (with("heartbeat", "followers", "-1"), "", ""),
        (with("retweet", "session_id", "[]"), "", ""),
        // The first reason in the contract's order wins, whatever the order of the keys.
        (br#"{"viewer_id":"","ts":"never","broadcast_id":1.5,"type":"join"}"#.to_vec(), "wrong_type", "broadcast_id"),
        (br#"{"viewer_id":"","ts":"never","broadcast_id":1,"type":"join"}"#.to_vec(), "bad_timestamp", "ts"),
        (
            br#"{"via":"","session_id":1.5,"ts":1700000000000,"broadcast_id":1,"viewer_id":1,"type":"join"}"#.to_vec(),
            "wrong_type",
            "session_id",
        ),
        (br#"{"viewer_id":"","ts":"never","broadcast_id":1,"type":"jion"}"#.to_vec(), "unknown_type", "type"),
    ]
}

/// Texts that are no instant, however close they come.
const NO_INSTANTS: [&str; 42] = [
    "",
    "1700000000000.0",
    "17000000000000000",
    "-1700000000000",
    "+1700000000000",
    "1700000000000 ",
    "1.7e12",
    "17000000000００",
    "2024-01-01",
    "2024-01-01T00:00:00",
    "2024-01-01  00:00:00Z",
    "2024-01-01_00:00:00Z",
    "2024-01-01T00:00:00 Z",
    "2024-01-01T00:00Z",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00,5Z",
    "2024-01-01T00:00:61Z",
    "2024-01-01T00:60:60Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00+00:60",
    "2024-01-01T00:00:00+2400",
    "2024-01-01T00:00:00+0060",
    "2024-01-01T00:00:00+00:0",
    "2024-01-01T00:00:00+00",
    "2024-01-01T00:00:00.5",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-01-00T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "0000-02-30T00:00:00Z",
    "24-01-01T00:00:00Z",
    "+2024-01-01T00:00:00Z",
    "2024-1-01T00:00:00Z",
    " 2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00Z ",
    "2024-01-01T00:00:00ZZ",
    "２０２４-01-01T00:00:00Z",
    "2024-01-01T00:00:00\u{2212}01:00",
];

fn times() -> Vec<Line> {
    let good = [
        "946684800000",
        "4102444799999",
        "\"2000-01-01T00:00:00Z\"",
        "\"2099-12-31T23:59:59.9999999999999999999Z\"",
        "\"1999-12-31T23:59:00-00:01\"",
        "\"2100-01-01T23:58:59.999+23:59\"",
        "\"2024-02-29T00:00:00.1-00:00\"",
        r#""2024-02-29T00\u003a00:00Z""#,
        "\"2024-02-29 00:00:00+2359\"",
        "\"2024-02-29t23:59:60.5z\"",
        "\"1999-12-31T23:59:60Z\"",
        "1700000000000.0",
        "4102444799999.00000000000000000000",
        "\"1700000000000\"",
        "\"0000946684800000\"",
    ];
    let out_of_range = [
        "946684799999",
        "4102444800000",
        "0",
        "-0",
        "-1",
        "1700000000",
        "1700000000000000",
        "1700000000000000000",
        "18446744073709551616000",
        "-99999999999999999999",
        "\"1999-12-31T23:59:59.999Z\"",
        "\"2100-01-01T00:00:00Z\"",
        "\"2000-01-01T00:00:00+00:01\"",
        "\"2099-12-31T23:59:00-00:01\"",
        "\"0000-02-29T00:00:00Z\"",
        "\"9999-12-31T23:59:59-23:59\"",
        "\"2099-12-31T23:59:60Z\"",
        "1700000000.0",
        "-0.0",
        "4102444800000.0",
        "\"0\"",
        "\"1700000000\"",
        "\"1700000000000000\"",
    ];
    let other =
        [("absent", "missing_field"), ("null", "missing_field"), ("1.7e12", "wrong_type"), ("true", "wrong_type")];
    let ts = |value: &str| with("end", "ts", value);
    let mut lines: Vec<Line> = good.iter().map(|value| (ts(value), "", "ts")).collect();
    lines.extend(out_of_range.iter().map(|value| (ts(value), "timestamp_out_of_range", "ts")));
    lines.extend(NO_INSTANTS.iter().map(|value| (ts(&format!("\"{value}\"")), "bad_timestamp", "ts")));
    lines.extend(other.iter().map(|(value, reason)| (ts(value), *reason, "ts")));
    lines.push((ts("1700000000000.5"), "wrong_type", "ts"));
    lines.push((ts("1700000000000.0e0"), "wrong_type", "ts"));
    lines.push((ts("[1700000000000]"), "wrong_type", "ts"));
    lines
}

/// All lines one after the other behind a byte order mark, blank ones and ends of line of every sort between them, the
/// last one without an end; and the table `rejected` that follows, with `payload` and `payload_bytes`.
fn bad_file(name: &str) -> (Vec<u8>, Table) {
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    let mut expected = Table::of("file offset reason field payload payload_bytes");
    let blanks: [&[u8]; 5] = [b"", b"\n", b"\r\n", b" \t \r\r\n", b"\n\n"];
    let lines = [whole_lines(), unknown_values(), ids(), types_and_numbers(), times()].concat();
    for (place, (line, reason, field)) in lines.iter().enumerate() {
        if place > 0 {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(blanks[place % blanks.len()]);
        if !reason.is_empty() {
            let kept = data_directory::hex(&line[..line.len().min(65_536)]);
            let at = [name, &bytes.len().to_string(), reason, field].map(str::to_owned);
            expected.push(at.into_iter().chain([kept, line.len().to_string()]));
        }
        bytes.extend_from_slice(line);
    }
    (bytes, expected)
}

#[test]
fn each_bad_line_is_rejected_for_its_reason() {
    let folder = folder();
    let (bytes, expected) = bad_file("bad.ndjson");
    fs::write(folder.path().join("bad.ndjson"), &bytes).unwrap();
    let out = folder.path().join("out");
    replay([folder.path().join("bad.ndjson")], &out, NO_FLAGS).exits(0);
    let found = data_directory::read(&out);
    let columns = Table::of("file offset reason field");
    let plain = |table: &Table| Table { columns: columns.columns.clone(), rows: table.sorted(&columns.columns) };
    assert_eq!(difference("rejected", &plain(&expected), &plain(&found.rejected)), None);
    assert_eq!(difference("rejected", &expected, &found.rejected), None, "payloads");
}

#[test]
fn a_blank_line_is_no_event_however_long() {
    let (folder, blank) = (folder(), " ".repeat(3_000_000));
    let file = folder.path().join("blank.ndjson");
    fs::write(&file, format!("{blank}\n\t{blank}\r\n{{}}\n{blank}")).unwrap();
    replay([file], &folder.path().join("out"), NO_FLAGS).exits(0);
    let found = data_directory::read(&folder.path().join("out"));
    assert_eq!((found.ledger.read, found.ledger.rejected), (1, 1));
    assert_eq!(found.rejected.rows[0][found.rejected.place("offset")], "6000004");
}

#[test]
fn the_oracle_rejects_the_same_lines() {
    let Some(oracle) = have(oracle()) else { return };
    let folder = folder();
    let (bytes, expected) = bad_file("bad.ndjson");
    let file = folder.path().join("bad.ndjson");
    fs::write(&file, &bytes).unwrap();
    let columns = Table::of("file offset reason field").columns;
    let plain = Table { rows: expected.sorted(&columns), columns };
    assert_eq!(difference("rejected", &oracle.tables(&[file], Rules::DEFAULT).rejected, &plain), None);
}
