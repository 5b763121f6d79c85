//! A guise is the form in which events hide where a record or a line is none: another encoding, another format, an
//! object around the event. It is guessed from the bytes of one record or line that was rejected, and says how to get
//! at the event.

use crate::outline::{Property, entries, first_value, text_of};
use std::fmt;

/// What bytes that are no event seem to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guise {
    /// Nothing but zero bytes.
    Zeros,
    /// UTF-16.
    Utf16,
    /// A byte order mark before what could be an event. That at the very beginning of a file is passed over.
    ByteOrderMark,
    /// A record that was compressed by itself, by this.
    Compressed(&'static str),
    /// A Schema Registry's frame: a zero byte and the four of the schema's id, here, before the event.
    SchemaRegistry(u32),
    /// All events in one JSON array, or a line of it.
    Array,
    /// JSON over several lines.
    Pretty,
    /// Several objects in one line.
    Glued,
    /// Columns.
    Csv,
    /// A text in which the event is written as JSON.
    Quoted,
    /// What a program prints of a dictionary: single quotes.
    Printed,
    /// A log's words before the event.
    Prefixed,
    /// A tweet as Twitter's API gave it.
    Tweet,
    /// An object around the event.
    Envelope {
        /// Whose it is, where its fields tell: "Docker's log".
        whose: Option<&'static str>,
        /// Where in it the event is, as jq writes it: `.payload.after`.
        path: String,
        /// Whether the event is a text there.
        is_text: bool,
    },
}

impl Guise {
    /// The guise of an event in bytes that were rejected; `None` where nothing is recognised, or where they are
    /// in the form of an event. Bytes that were cut may be enough.
    pub fn of(bytes: &[u8]) -> Option<Guise> {
        if let Some(guise) = of_bytes(bytes) {
            return Some(guise);
        }
        let whole = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()).trim_matches([' ', '\t', '\r', '\n']);
        match whole.as_bytes() {
            [b'[' | b']', ..] => return Some(Guise::Array),
            [b'{' | b'}'] | [b'}', b','] => return Some(Guise::Pretty),
            [b'{', rest @ ..] if rest.trim_ascii_start().starts_with(b"'") => return Some(Guise::Printed),
            [b'{', ..] => {}
            [b'"', ..] => return of_text(whole),
            _ => return of_columns(whole).or_else(|| is_prefixed(whole).then_some(Guise::Prefixed)),
        }
        match first_value(whole).map(|end| whole[end..].trim_start()) {
            Some(rest) if rest.starts_with(',') => return Some(Guise::Array),
            Some(rest) if rest.starts_with('{') => return Some(Guise::Glued),
            None if whole.ends_with([',', '{', '[']) => return Some(Guise::Pretty),
            _ => {}
        }
        let fields = entries(whole);
        if is_event(&fields) { None } else { of_object(&fields) }
    }

    /// What can be done in a shell to the file at `path`, if anything; `path` is as one types it.
    pub fn recipe(&self, path: &str) -> Option<String> {
        Some(match self {
            Guise::Utf16 => format!("iconv -f UTF-16 -t UTF-8 {path}"),
            Guise::ByteOrderMark => format!("sed 's/^\\xEF\\xBB\\xBF//' {path}"),
            Guise::Array => format!("jq -c '.[]' {path}"),
            Guise::Pretty | Guise::Glued => format!("jq -c . {path}"),
            Guise::Quoted => format!("jq -c fromjson {path}"),
            Guise::Prefixed => format!("sed 's/^[^{{]*//' {path}"),
            Guise::Envelope { path: at, is_text: false, .. } => format!("jq -c '{at}' {path}"),
            Guise::Envelope { path: at, is_text: true, .. } => format!("jq -c '{at} | fromjson' {path}"),
            _ => return None,
        })
    }
}

/// In words that follow "They seem to be".
impl fmt::Display for Guise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guise::Zeros => "nothing but zero bytes, as a crash leaves them in a file",
            Guise::Utf16 => "UTF-16, as PowerShell's > writes it: UTF-8 is wanted",
            Guise::ByteOrderMark => "an event behind a byte order mark, with which only a file may begin: leave it out",
            Guise::Compressed(by) => {
                return write!(f, "compressed by {by} one by one: let Kafka compress (compression.type)");
            }
            Guise::SchemaRegistry(id) => {
                return write!(
                    f,
                    "framed by a Schema Registry (a zero byte, and the schema's id {id}) before the event: have its \
                     producer write plain JSON, with Kafka Connect's JsonConverter and schemas.enable=false"
                );
            }
            Guise::Array => "a JSON array: each event is to be a line of its own",
            Guise::Pretty => "JSON over several lines: each event is to be one line",
            Guise::Glued => "several objects in one line: each event is to be a line of its own",
            Guise::Csv => "columns (CSV): each event is to be a JSON object; docs/events.md shows how",
            Guise::Quoted => "JSON within a JSON string, so written as JSON twice: write it once",
            Guise::Printed => "what a program prints of a dictionary: write it as JSON (json.dumps in Python)",
            Guise::Prefixed => "lines of a log, with words before the event",
            Guise::Tweet => "tweets as Twitter's API gives them: docs/events.md shows how they become retweets",
            Guise::Envelope { whose, path, is_text } => {
                f.write_str(whose.unwrap_or("an object around the event"))?;
                let text = if *is_text { ", as a text" } else { "" };
                return write!(f, ": the event is its {path}{text}");
            }
        })
    }
}

/// What bytes tell that are no text.
fn of_bytes(bytes: &[u8]) -> Option<Guise> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(Guise::Utf16),
        [0xef, 0xbb, 0xbf, ..] => return Some(Guise::ByteOrderMark),
        [0x1f, 0x8b, 0x08, ..] => return Some(Guise::Compressed("gzip")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Some(Guise::Compressed("zstd")),
        _ => {}
    }
    if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0) {
        return Some(Guise::Zeros);
    }
    // Letters of an event take every second byte of UTF-16; a line that was cut at a line feed begins with the other
    // half of that.
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).take(64).filter(|byte| **byte == 0).count();
    let letters = (bytes.len() / 2).min(64);
    if letters >= 4 && [zeros(0), zeros(1)].iter().any(|zeros| zeros * 10 >= letters * 9) {
        return Some(Guise::Utf16);
    }
    match bytes {
        [0, a, b, c, d, _, ..] => Some(Guise::SchemaRegistry(u32::from_be_bytes([*a, *b, *c, *d]))),
        _ => None,
    }
}

/// Of what begins with a quote: a field of an object over several lines, a text, or quoted columns.
fn of_text(whole: &str) -> Option<Guise> {
    let end = first_value(whole)?;
    let rest = whole[end..].trim_start();
    if rest.starts_with(':') {
        return Some(Guise::Pretty);
    }
    let is_text = rest.is_empty() && text_of(&whole[..end]).is_some_and(|text| text.starts_with('{'));
    if is_text { Some(Guise::Quoted) } else { of_columns(whole) }
}

/// Columns: separators, and a word that an event has.
fn of_columns(whole: &str) -> Option<Guise> {
    if whole.contains('{') {
        return None;
    }
    let known = ["type", "broadcast_id", "join", "leave", "heartbeat", "retweet", "end"];
    let is_known = |cell: &str| known.contains(&cell.trim().trim_matches('"').to_ascii_lowercase().as_str());
    let is_row = |separator: char| whole.matches(separator).count() >= 2 && whole.split(separator).any(is_known);
    [',', ';', '\t', '|'].into_iter().any(is_row).then_some(Guise::Csv)
}

/// Whether an event comes behind other words.
fn is_prefixed(whole: &str) -> bool {
    whole.find('{').is_some_and(|at| is_event(&entries(&whole[at..])))
}

/// Whether these are the fields of an event, be they right or wrong.
fn is_event(fields: &[Property<'_>]) -> bool {
    let has = |name: &str| fields.iter().any(|field| field.key == name);
    has("broadcast_id") && (has("type") || has("ts"))
}

/// Of an object that is no event.
fn of_object(fields: &[Property<'_>]) -> Option<Guise> {
    let has = |names: &[&str]| names.iter().all(|name| fields.iter().any(|field| field.key == *name));
    if has(&["created_at", "id_str"]) {
        return Some(Guise::Tweet);
    }
    let whose = match () {
        () if has(&["log", "stream", "time"]) => Some("Docker's log"),
        () if has(&["op", "after"]) => {
            Some("Debezium's envelope (ExtractNewRecordState takes it off in Kafka Connect)")
        }
        () if has(&["schema", "payload"]) => Some("Kafka Connect's envelope (schemas.enable=false leaves it out)"),
        () if has(&["specversion", "data"]) => Some("a CloudEvents envelope"),
        () => None,
    };
    // An object within the object, and one within that, be it as a text.
    within(fields, 3).map(|(path, is_text)| Guise::Envelope { whose, path, is_text })
}

/// Where in the values of an object an event is, at most so deep, and whether it is a text there.
fn within(fields: &[Property<'_>], depth: usize) -> Option<(String, bool)> {
    let path = |key: &str| {
        let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let shown: String = key.chars().take(40).flat_map(char::escape_debug).collect();
        if is_plain { format!(".{shown}") } else { format!(".\"{shown}\"") }
    };
    for field in fields {
        let inner = entries(field.value);
        if is_event(&inner) {
            return Some((path(&field.key), false));
        }
        if depth > 1
            && let Some((rest, is_text)) = within(&inner, depth - 1)
        {
            return Some((path(&field.key) + &rest, is_text));
        }
        if text_of(field.value).is_some_and(|text| is_event(&entries(text.trim()))) {
            return Some((path(&field.key), true));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type":"join","broadcast_id":"b","ts":1700000000000,"viewer_id":"v"}"#;

    fn envelope(whose: Option<&'static str>, path: &str, is_text: bool) -> Option<Guise> {
        Some(Guise::Envelope { whose, path: path.to_owned(), is_text })
    }

    #[test]
    fn an_event_has_no_guise_however_wrong_its_fields_are() {
        for event in [EVENT, &EVENT.replace("join", "jump"), &EVENT.replace("1700000000000", "1.5"), "{}", "x", ""] {
            assert_eq!(Guise::of(event.as_bytes()), None, "{event}");
        }
        assert_eq!(Guise::of(&EVENT.as_bytes()[..40]), None, "one that was cut");
    }

    #[test]
    fn what_events_hide_in_is_recognised() {
        let quoted = format!("{EVENT:?}");
        let both = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let little = both(EVENT);
        let cases: Vec<(Vec<u8>, Guise)> = vec![
            (vec![0; 9], Guise::Zeros),
            (little.clone(), Guise::Utf16),
            ([&[0], &little[..]].concat(), Guise::Utf16),
            ([&[0xff, 0xfe], &little[..]].concat(), Guise::Utf16),
            (format!("\u{feff}{EVENT}").into(), Guise::ByteOrderMark),
            ([&[0, 0, 0, 1, 7], EVENT.as_bytes()].concat(), Guise::SchemaRegistry(263)),
            (b"\x1f\x8b\x08\0".into(), Guise::Compressed("gzip")),
            (format!("[{EVENT},{EVENT}]").into(), Guise::Array),
            (b"[".into(), Guise::Array),
            (format!("{EVENT},").into(), Guise::Array),
            (b"{".into(), Guise::Pretty),
            (b"  \"type\": \"join\",".into(), Guise::Pretty),
            (format!("{EVENT}{EVENT}").into(), Guise::Glued),
            (format!("{EVENT} {}", &EVENT[..9]).into(), Guise::Glued),
            (b"type,broadcast_id,ts,viewer_id".into(), Guise::Csv),
            (b"join;show;2026-03-14T19:00:00Z;a".into(), Guise::Csv),
            (b"\"type\",\"broadcast_id\",\"ts\"".into(), Guise::Csv),
            (quoted.clone().into(), Guise::Quoted),
            (b"{'type': 'join', 'ts': 1}".into(), Guise::Printed),
            (format!("2026-03-14T19:00:00Z stdout F {EVENT}").into(), Guise::Prefixed),
            (br#"{"created_at":"x","id_str":"1","user":{}}"#.into(), Guise::Tweet),
        ];
        for (bytes, guise) in cases {
            assert_eq!(Guise::of(&bytes), Some(guise), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn an_envelope_says_where_the_event_is() {
        let quoted = format!("{EVENT:?}");
        let docker = format!(r#"{{"log":{quoted},"stream":"stdout","time":"t"}}"#);
        assert_eq!(Guise::of(docker.as_bytes()), envelope(Some("Docker's log"), ".log", true));
        let plain = format!(r#"{{"id":1,"event":{EVENT}}}"#);
        assert_eq!(Guise::of(plain.as_bytes()), envelope(None, ".event", false));
        let odd = format!(r#"{{"a b":{{"x":[1],"y":{EVENT}}}}}"#);
        assert_eq!(Guise::of(odd.as_bytes()), envelope(None, ".\"a b\".y", false));
        let connect =
            format!(r#"{{"schema":{{"type":"struct"}},"payload":{{"before":null,"after":{EVENT},"op":"c"}}}}"#);
        let guise = Guise::of(connect.as_bytes()).expect("an envelope");
        assert_eq!(guise.recipe("x.json").as_deref(), Some("jq -c '.payload.after' x.json"));
        assert!(guise.to_string().starts_with("Kafka Connect's envelope"), "{guise}");
    }
}
