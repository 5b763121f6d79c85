//! A flaw is what exactly is wrong with an event that was rejected, and how it would be right: the reason, looked at
//! with the bytes in hand.

use crate::decode::is_digits;
use crate::outline::{Property, entries, text_of};
use crate::strict::stopped_at;
use crate::time::{self, DAY_MS, TS_END, TS_MIN, date_name, day_of};
use crate::{Field, Kind, Ms, Reason, Rejection};

/// Characters of a value that are shown.
const SHOWN: usize = 48;

/// What is wrong with `payload`, which was rejected so, as a sentence; `None` where the reason says all that is known.
/// Values of the event stand in it.
pub fn flaw(rejection: Rejection, payload: &[u8]) -> Option<String> {
    let (text, rest) = match str::from_utf8(payload) {
        Ok(text) => (text, 0),
        Err(error) => (str::from_utf8(&payload[..error.valid_up_to()]).ok()?, payload.len() - error.valid_up_to()),
    };
    let fields = entries(text.trim_start());
    let value = fields.iter().find(|entry| entry.key == rejection.field.word()).map(|entry| entry.value);
    match rejection.reason {
        Reason::NotUtf8 => (rest > 0).then(|| format!("Byte {} is not UTF-8.", text.len() + 1)),
        Reason::NotJson => no_json(text),
        Reason::RepeatedField => repeated(text),
        Reason::MissingField => missing(rejection.field, &fields),
        Reason::UnknownType => Some(unknown_type(&text_of(value?)?)),
        Reason::WrongType => wrong_type(rejection.field, value?),
        Reason::BadTimestamp => Some(bad_time(&text_of(value?)?)),
        Reason::TimestampOutOfRange => out_of_range(value?),
        _ => None,
    }
}

/// A piece of what somebody else wrote, safe to print.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn no_json(text: &str) -> Option<String> {
    let at = stopped_at(text)?;
    let rest = text.get(at..).unwrap_or_default();
    if rest.trim().is_empty() {
        return Some(format!("It ends too early, after {at} bytes."));
    }
    let word = ["NaN", "Infinity", "-Infinity", "None", "True", "False", "undefined"];
    let hint = match word.iter().find(|word| rest.starts_with(**word)) {
        Some(word) => format!(": {word} is no value of JSON, null is"),
        None if rest.starts_with('\'') => ": JSON has double quotes".to_owned(),
        None => String::new(),
    };
    Some(format!("It is no JSON from its byte {} on, `{}`{hint}.", at + 1, shown(rest)))
}

fn repeated(text: &str) -> Option<String> {
    let at = stopped_at(text)?;
    let key = text.get(..at)?.strip_suffix('"')?.rsplit('"').next()?;
    Some(format!("The key `{}` comes again before its byte {}.", shown(key), at + 1))
}

/// The five words that `type` may be.
fn words() -> String {
    Kind::ALL.map(Kind::word).join(", ")
}

fn missing(field: Field, fields: &[Property<'_>]) -> Option<String> {
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let others: &[&str] = match field {
        Field::Ts => &["timestamp", "time", "timestampms", "createdat", "eventtime", "date"],
        Field::Type => &["event", "eventtype", "action", "kind", "name"],
        Field::ViewerId => &["viewer", "userid", "clientid", "user"],
        Field::BroadcastId => &["broadcast", "streamid", "stream", "channel", "channelid", "room", "roomid"],
        _ => &[],
    };
    let name = field.word();
    let is_like = |entry: &&Property<'_>| {
        let key = plain(&entry.key);
        entry.key != name && (key == plain(name) || others.contains(&key.as_str()))
    };
    let like = fields.iter().find(is_like).map(|entry| shown(&entry.key));
    let is_null = fields.iter().any(|entry| entry.key == name);
    let of_type = if field == Field::Type { format!(", with one of {}", words()) } else { String::new() };
    match (is_null, like) {
        (true, _) => Some(format!("Its `{name}` is null.")),
        (false, Some(like)) => Some(format!("It has `{like}`: the field is named `{name}`{of_type}.")),
        (false, None) if fields.is_empty() => None,
        (false, None) => {
            let keys: Vec<String> = fields.iter().take(6).map(|entry| format!("`{}`", shown(&entry.key))).collect();
            Some(format!("It has {}, and no `{name}`{of_type}.", keys.join(", ")))
        }
    }
}

fn unknown_type(word: &str) -> String {
    let small = word.trim().to_lowercase();
    let meant =
        Kind::ALL.into_iter().map(Kind::word).find(|known| small.starts_with(known) || known.starts_with(&small));
    let meant = meant.filter(|_| small.len() > 2).map_or_else(String::new, |word| format!("; `{word}` may be meant"));
    format!("`{}` is none of {}{meant}.", shown(word), words())
}

fn wrong_type(field: Field, value: &str) -> Option<String> {
    let value = value.trim();
    let is_number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let number = value.parse::<f64>().ok().filter(|_| is_number);
    let said = shown(value);
    Some(match field {
        Field::Ts => match number.and_then(in_other_units) {
            Some(unit) => format!("{said} {unit}."),
            None if number.is_some() => {
                format!("{said} is no integer: send whole milliseconds, without a fraction or an exponent.")
            }
            None => format!("{said} is neither an integer of milliseconds nor a time as a string."),
        },
        Field::Followers if value.starts_with('"') => format!("{said} is a string: send an integer, or null."),
        Field::Followers => format!("{said} is no integer from 0 to 1,000,000,000,000: send one, or null."),
        Field::Type => format!("{said} is no string: `type` is one of {}.", words()),
        _ if number.is_some() => {
            format!("{said} is a number with a point or an exponent, which may have lost digits: send ids as strings.")
        }
        _ => format!("{said} is neither a string nor an integer: send ids as strings."),
    })
}

/// What a number that is no integer of milliseconds would be otherwise.
fn in_other_units(number: f64) -> Option<String> {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, and is held against the range right after")]
    let ms = |factor: f64| Some((number * factor) as Ms).filter(|ms| (TS_MIN..TS_END).contains(ms));
    if let Some(ms) = ms(1.0) {
        return Some(format!("is no integer: {ms} is, and means {}", time::rfc3339(ms)));
    }
    let units = [("seconds", 1e3), ("microseconds", 1e-3), ("nanoseconds", 1e-6)];
    units.iter().find_map(|(unit, factor)| {
        ms(*factor).map(|ms| format!("would be {} in {unit}: send milliseconds, {ms}", date_name(day_of(ms))))
    })
}

fn bad_time(text: &str) -> String {
    let said = shown(text);
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && let Some(unit) = text.parse().ok().and_then(in_other_units)
    {
        return format!("`{said}` {unit}.");
    }
    let bytes = text.as_bytes();
    let is_date = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let zone = text.get(19..).map(|rest| rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()));
    let offset = zone.and_then(|zone| zone.strip_prefix(['+', '-']));
    let wrong = match bytes.get(10) {
        _ if !is_date => "is no RFC 3339 time",
        None => "is a day without a time",
        Some(b'T' | b't' | b' ') if zone == Some("") => "has no zone: an offset or `Z` is to end it",
        Some(b'T' | b't' | b' ') if offset.is_some_and(|offset| is_digits(offset) && offset.len() < 4) => {
            "needs hours and minutes in its offset, as in `+02:00`"
        }
        Some(_) => "is no RFC 3339 time",
    };
    format!("`{said}` {wrong}; right is 2026-03-14T19:00:00.250Z, or an integer of milliseconds.")
}

fn out_of_range(value: &str) -> Option<String> {
    let text = text_of(value).unwrap_or_else(|| value.trim().to_owned());
    let said = shown(&text);
    // Behind the point of a number out of range are zeros.
    let Ok(number) = text.split('.').next()?.parse::<i128>() else {
        return Some(format!("{said} lies outside the years 2000 to 2099."));
    };
    let far = DAY_MS.unsigned_abs() as u128 * 365 * 8_000;
    let day = |ms: i128| Ms::try_from(ms).ok().filter(|_| ms.unsigned_abs() < far).map(|ms| date_name(day_of(ms)));
    let is_now = day(number).unwrap_or_else(|| "no day of ours".to_owned());
    let units = [
        ("seconds", number.saturating_mul(1_000)),
        ("microseconds", number / 1_000),
        ("nanoseconds", number / 1_000_000),
    ];
    let fits = |ms: i128| (i128::from(TS_MIN)..i128::from(TS_END)).contains(&ms);
    let meant = units.into_iter().filter(|(_, ms)| fits(*ms));
    let meant: Vec<String> = meant.filter_map(|(unit, ms)| Some(format!("{} in {unit}", day(ms)?))).collect();
    let meant = if meant.is_empty() { String::new() } else { format!(", and would be {}", meant.join(", ")) };
    Some(format!("{said} is {is_now} in milliseconds, which `ts` is in{meant}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Details, Key, Registry};
    use std::sync::Arc;

    /// What is said of an event whose `field` is `value`, by the reason for which it is rejected.
    fn said(field: &str, value: &str) -> String {
        let mut event = vec![("type", "\"retweet\""), ("broadcast_id", "\"b\""), ("ts", "1700000000000")];
        event.extend([("tweet_id", "\"t\""), ("user_id", "\"u\"")]);
        event.iter_mut().filter(|(name, _)| *name == field).for_each(|(_, old)| *old = value);
        if !event.iter().any(|(name, _)| *name == field) {
            event.push((field, value));
        }
        let event: Vec<String> = event.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        of(format!("{{{}}}", event.join(",")).as_bytes())
    }

    fn of(line: &[u8]) -> String {
        let mut decoder = Decoder::new(Arc::new(Registry::new(|| Key([0; 16]))));
        let rejection = decoder.decode(line, &mut Details::new()).expect_err("it is rejected");
        flaw(rejection, line).unwrap_or_else(|| rejection.to_string())
    }

    #[test]
    fn a_time_says_which_it_would_be() {
        for (ts, part) in [
            (
                "1694522730",
                "1694522730 is 1970-01-20 in milliseconds, which `ts` is in, and would be 2023-09-12 in seconds.",
            ),
            ("1694522730000000", "would be 2023-09-12 in microseconds."),
            (
                "1694522730000000000",
                "no day of ours in milliseconds, which `ts` is in, and would be 2023-09-12 in nanoseconds.",
            ),
            ("-1", "-1 is 1969-12-31 in milliseconds, which `ts` is in."),
            ("99999999999999999999999999999999999999999999", "lies outside"),
            ("\"1999-12-31T23:59:59Z\"", "1999-12-31T23:59:59Z lies outside the years 2000 to 2099."),
            ("1694522730.5", "1694522730.5 would be 2023-09-12 in seconds: send milliseconds, 1694522730500."),
            ("1.69452273e12", "is no integer: 1694522730000 is, and means 2023-09-12T12:45:30.000Z."),
            ("1694522730000.5", "is no integer: 1694522730000 is, and means 2023-09-12T12:45:30.000Z."),
            (
                "1694522730.0",
                "1694522730.0 is 1970-01-20 in milliseconds, which `ts` is in, and would be 2023-09-12 in",
            ),
            (
                "\"1694522730\"",
                "1694522730 is 1970-01-20 in milliseconds, which `ts` is in, and would be 2023-09-12 in",
            ),
            ("\"1694522730000000000\"", "would be 2023-09-12 in nanoseconds: send milliseconds, 1694522730000."),
            ("\"1694522730.5\"", "`1694522730.5` would be 2023-09-12 in seconds: send milliseconds, 1694522730500."),
            ("\"1694522730000.0\"", "`1694522730000.0` is no integer: 1694522730000 is"),
            ("\"99999999999999999999999\"", "is no RFC 3339 time"),
            ("\"1.2.3\"", "is no RFC 3339 time"),
            ("\"\"", "is no RFC 3339 time"),
            ("\"2026-03-14 19:00:00.123+00\"", "needs hours and minutes in its offset, as in `+02:00`"),
            ("\"2021-05-17T12:39:22-0\"", "needs hours and minutes in its offset"),
            ("\"2021-05-17T12:39:22\"", "has no zone"),
            ("\"2021-05-17t12:39:60.5\"", "has no zone"),
            ("\"2021-05-17 12:39:22 UTC\"", "is no RFC 3339 time"),
            ("\"2021-05-17T12:39:22+2400\"", "is no RFC 3339 time"),
            ("\"2021-05-17T12:39Z\"", "is no RFC 3339 time"),
            ("\"2021-05-17T12:39:61Z\"", "is no RFC 3339 time"),
            ("\"1999-12-31T23:59:59.5+0000\"", "1999-12-31T23:59:59.5+0000 lies outside the years 2000 to 2099."),
            ("\"2021-05-17\"", "a day without a time"),
            ("\"Wed Aug 27 13:08:45 +0000 2008\"", "is no RFC 3339 time"),
            ("\"é\"", "is no RFC 3339 time"),
            ("\"ééééééééééééé\"", "is no RFC 3339 time"),
            ("true", "true is neither"),
        ] {
            assert!(said("ts", ts).contains(part), "{ts}: {}", said("ts", ts));
        }
    }

    #[test]
    fn a_field_says_what_it_should_be() {
        for (field, value, part) in [
            ("type", "\"jump\"", "`jump` is none of join, heartbeat, leave, retweet, end."),
            ("type", "\"JOIN\"", "`JOIN` is none of join, heartbeat, leave, retweet, end; `join` may be meant."),
            ("type", "\"joined\"", "`join` may be meant."),
            ("type", "\"\\u001b[2J\"", "`\\u{1b}[2J` is none"),
            ("type", "5", "5 is no string: `type` is one of join,"),
            ("type", "null", "Its `type` is null."),
            ("followers", "22000.5", "22000.5 is no integer from 0"),
            ("followers", "-1.0", "-1.0 is no integer from 0"),
            ("followers", "\"22000\"", "is a string: send an integer, or null."),
            ("followers", "NaN", "`NaN}`: NaN is no value of JSON, null is."),
            ("user_id", "716683059574865923.0", "which may have lost digits: send ids as strings."),
            ("user_id", "[]", "[] is neither a string nor an integer"),
        ] {
            assert!(said(field, value).contains(part), "{field} {value}: {}", said(field, value));
        }
        for (line, part) in [
            (r#"{"type":"end","broadcastId":"b","ts":1}"#, "It has `broadcastId`: the field is named `broadcast_id`."),
            (r#"{"Type":"end"}"#, "It has `Type`: the field is named `type`, with one of join,"),
            (r#"{"event":"participant_joined"}"#, "It has `event`: the field is named `type`"),
            (r#"{"type":"end","broadcast_id":"b","timestamp":1}"#, "It has `timestamp`: the field is named `ts`."),
            (r#"{"a":1,"b":2}"#, "It has `a`, `b`, and no `type`, with one of join,"),
            (r#"{"type":"end","x":1,"x":2}"#, "The key `x` comes again before its byte 24."),
            (r#"{"type":"end""#, "It ends too early, after 13 bytes."),
            (r#"{"type":"end",}"#, "It is no JSON from its byte 15 on, `}`."),
            (r#"{'type':'end'}"#, "JSON has double quotes"),
        ] {
            assert!(of(line.as_bytes()).contains(part), "{line}: {}", of(line.as_bytes()));
        }
        assert_eq!(of(b"{\"type\":\"\xff\"}"), "Byte 10 is not UTF-8.");
        assert_eq!(of(b"{}"), "missing_field (type)");
    }
}
