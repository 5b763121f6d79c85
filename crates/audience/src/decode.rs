//! From bytes to an event: the contract's section 1. Ids become numbers and keyed pseudonyms here; nothing behind sees
//! a string it does not need.

use crate::fields::{Fields, Tag, Token};
use crate::time::{DAY_MS, TS_END, TS_MIN, days_from_civil};
use crate::{Detail, Details, Event, Field, Key, Kind, Ms, NO_DETAIL, Reason, Registry, Rejection, RetweetDetail};
use crate::{quick, strict};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

/// An event has at most so many bytes: 1 MiB.
const EVENT_BYTES_MAX: usize = 1 << 20;
const ID_BYTES_MAX: usize = 256;
const FOLLOWERS_MAX: i64 = 1_000_000_000_000;
/// Milliseconds in a string have at most so many digits.
const MS_DIGITS_MAX: usize = 16;

/// Whether a line or a record holds nothing but blanks: no event in a file, `empty` from Kafka.
pub fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// The number under which the retweets of one tweet lie together: SipHash-2-4, 128 bits, of its id under a key of
/// zeros.
pub fn fingerprint(tweet_id: &str) -> u128 {
    pseudonym(&SipHasher24::new(), tweet_id)
}

/// Decodes events. Each thread has its own; all share one [`Registry`].
#[derive(Debug)]
pub struct Decoder {
    registry: Arc<Registry>,
    /// The places in `broadcasts` of the broadcasts this decoder has met.
    met: HashMap<Box<str>, usize, foldhash::fast::RandomState>,
    /// Number and keyed hasher of each.
    broadcasts: Vec<(u32, SipHasher24)>,
    /// The order of the keys in the event before.
    order: quick::Order,
    scratch: String,
    strict_only: bool,
}

impl Decoder {
    /// A decoder that numbers broadcasts by `registry`.
    pub fn new(registry: Arc<Registry>) -> Decoder {
        Decoder {
            registry,
            met: HashMap::default(),
            broadcasts: Vec::new(),
            order: quick::Order::default(),
            scratch: String::new(),
            strict_only: false,
        }
    }

    /// A decoder without the quick path: slower, and for those who hold the two against each other.
    pub fn strict(registry: Arc<Registry>) -> Decoder {
        Decoder { strict_only: true, ..Decoder::new(registry) }
    }

    /// The event in `bytes`; its strings, if any, go to `details`. A blank is [`Reason::Empty`]; a caller for whom it
    /// is no event asks [`is_blank`] first.
    pub fn decode(&mut self, bytes: &[u8], details: &mut Details) -> Result<Event, Rejection> {
        if is_blank(bytes) {
            return Err(Rejection::whole(Reason::Empty));
        }
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(Rejection::whole(Reason::TooLarge));
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Rejection::whole(Reason::NotUtf8))?;
        self.decode_text(text, details)
    }

    fn decode_text(&mut self, text: &str, details: &mut Details) -> Result<Event, Rejection> {
        let mut fields = Fields::default();
        if !self.strict_only && quick::scan(text.as_bytes(), &mut self.order, &mut fields).is_some() {
            return self.event(&Source { fields: &fields, text, scratch: "" }, details);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let event = strict::parse(text, &mut scratch)
            .and_then(|fields| self.event(&Source { fields: &fields, text, scratch: &scratch }, details));
        self.scratch = scratch;
        event
    }

    /// The checks by field, in the contract's order.
    fn event(&mut self, source: &Source<'_>, details: &mut Details) -> Result<Event, Rejection> {
        let kind = source.kind()?;
        let broadcast_id = source.id(Field::BroadcastId)?;
        let ts = source.ts()?;
        match kind {
            Kind::Join | Kind::Leave | Kind::Heartbeat => {
                let viewer_id = source.id(Field::ViewerId)?;
                let session_id = source.optional_id(Field::SessionId)?;
                let via = if kind == Kind::Join { source.optional_id(Field::Via)? } else { None };
                let (broadcast, hasher) = self.broadcast(broadcast_id);
                let viewer = pseudonym(hasher, viewer_id);
                let session = match session_id {
                    Some(session_id) if session_id != viewer_id => pseudonym(hasher, session_id),
                    _ => viewer,
                };
                let detail = via.map_or(NO_DETAIL, |via| details.push(Detail::Via(via)));
                Ok(Event::new(kind, broadcast, viewer, session, ts, detail))
            }
            Kind::Retweet => {
                let tweet_id = source.id(Field::TweetId)?;
                let user_id = source.id(Field::UserId)?;
                let followers = source.followers()?;
                let retweet_of = source.optional_id(Field::RetweetOf)?;
                let retweet = RetweetDetail { tweet_id, user_id, followers, retweet_of };
                let (broadcast, _) = self.broadcast(broadcast_id);
                let detail = details.push(Detail::Retweet(retweet));
                Ok(Event::new(kind, broadcast, fingerprint(tweet_id), 0, ts, detail))
            }
            Kind::End => {
                let (broadcast, _) = self.broadcast(broadcast_id);
                Ok(Event::new(kind, broadcast, 0, 0, ts, NO_DETAIL))
            }
        }
    }

    /// Forgets the key of a broadcast that it has met: it asks the registry again.
    pub fn forget(&mut self, id: &str) {
        self.met.remove(id);
    }

    fn broadcast(&mut self, id: &str) -> (u32, &SipHasher24) {
        let place = self.met.get(id).copied().unwrap_or_else(|| {
            let (number, Key(key)) = self.registry.number(id);
            self.met.insert(id.into(), self.broadcasts.len());
            self.broadcasts.push((number, SipHasher24::new_with_key(&key)));
            self.broadcasts.len() - 1
        });
        let (number, hasher) = &self.broadcasts[place];
        (*number, hasher)
    }
}

fn pseudonym(hasher: &SipHasher24, id: &str) -> u128 {
    let mut hasher = *hasher;
    hasher.write(id.as_bytes());
    hasher.finish128().as_u128()
}

/// The fields of one event with the texts that they point into.
struct Source<'a> {
    fields: &'a Fields,
    text: &'a str,
    scratch: &'a str,
}

impl<'a> Source<'a> {
    fn text(&self, token: Token) -> &'a str {
        let (start, end) = (token.start as usize, token.end as usize);
        if token.tag == Tag::Unescaped { &self.scratch[start..end] } else { &self.text[start..end] }
    }

    fn kind(&self) -> Result<Kind, Rejection> {
        let token = self.fields.token(Field::Type);
        match token.tag {
            Tag::Absent => Err(Rejection::of(Reason::MissingField, Field::Type)),
            Tag::Integer | Tag::Whole | Tag::Other => Err(Rejection::of(Reason::WrongType, Field::Type)),
            Tag::Plain | Tag::Unescaped => {
                Kind::of_word(self.text(token)).ok_or(Rejection::of(Reason::UnknownType, Field::Type))
            }
        }
    }

    fn id(&self, field: Field) -> Result<&'a str, Rejection> {
        self.optional_id(field)?.ok_or(Rejection::of(Reason::MissingField, field))
    }

    fn optional_id(&self, field: Field) -> Result<Option<&'a str>, Rejection> {
        let token = self.fields.token(field);
        match token.tag {
            Tag::Absent => return Ok(None),
            Tag::Whole | Tag::Other => return Err(Rejection::of(Reason::WrongType, field)),
            Tag::Plain | Tag::Unescaped | Tag::Integer => {}
        }
        let id = self.text(token);
        match id.len() {
            0 => Err(Rejection::of(Reason::EmptyId, field)),
            1..=ID_BYTES_MAX => Ok(Some(id)),
            _ => Err(Rejection::of(Reason::IdTooLong, field)),
        }
    }

    fn ts(&self) -> Result<Ms, Rejection> {
        let token = self.fields.token(Field::Ts);
        let ts = match token.tag {
            Tag::Absent => return Err(Rejection::of(Reason::MissingField, Field::Ts)),
            Tag::Other => return Err(Rejection::of(Reason::WrongType, Field::Ts)),
            Tag::Integer | Tag::Whole => integer(self.text(token)),
            Tag::Plain | Tag::Unescaped => {
                timestamp(self.text(token)).ok_or(Rejection::of(Reason::BadTimestamp, Field::Ts))?
            }
        };
        if (TS_MIN..TS_END).contains(&ts) { Ok(ts) } else { Err(Rejection::of(Reason::TimestampOutOfRange, Field::Ts)) }
    }

    fn followers(&self) -> Result<Option<i64>, Rejection> {
        let token = self.fields.token(Field::Followers);
        match token.tag {
            Tag::Absent => Ok(None),
            Tag::Integer | Tag::Whole => match self.text(token).parse() {
                Ok(followers @ 0..=FOLLOWERS_MAX) => Ok(Some(followers)),
                _ => Err(Rejection::of(Reason::WrongType, Field::Followers)),
            },
            _ => Err(Rejection::of(Reason::WrongType, Field::Followers)),
        }
    }
}

/// The instant that a string says: milliseconds in up to 16 digits, or a date and a time, which is always longer.
fn timestamp(text: &str) -> Option<Ms> {
    match text.len() {
        0..=MS_DIGITS_MAX => is_digits(text).then(|| integer(text)),
        _ => parse_rfc3339(text.as_bytes()),
    }
}

/// Whether a text is nothing but ASCII digits, and not empty.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of an integer's digits; `Ms::MAX` where they are more than an i64 holds, which is out of range like any
/// other.
fn integer(text: &str) -> Ms {
    // Thirteen digits are the times from 2001 to 2286: five and eight, each half in three multiplications.
    let digits = text.as_bytes();
    match (digits.first_chunk(), digits.last_chunk()) {
        (Some(first), Some(last)) if digits.len() == 13 && digits[0] != b'-' => {
            let high = eight_digits(u64::from_le_bytes(*first) << 24);
            (high * 100_000_000 + eight_digits(u64::from_le_bytes(*last))).cast_signed()
        }
        _ => text.parse().unwrap_or(Ms::MAX),
    }
}

/// The value of eight digits, the first in the lowest byte; a zero byte counts as the digit 0. Each product wraps: what
/// leaves it at the top belongs to no digit.
fn eight_digits(digits: u64) -> u64 {
    let pairs = (digits & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Milliseconds of `YYYY-MM-DDThh:mm:ss[.digits](Z|±hh:mm)`, which is RFC 3339; `t` or a space may stand for `T`, `z`
/// for `Z`, `±hhmm` for `±hh:mm`. Second 60 of any minute is the first of the next, digits below the ms are cut. `None`
/// for anything else.
pub(crate) fn parse_rfc3339(text: &[u8]) -> Option<Ms> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?
            .iter()
            .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.get(*at) != Some(byte)) || !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let next_month = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let days = days_from_civil(year, month, 1);
    if day > days_from_civil(next_month.0, next_month.1, 1) - days {
        return None;
    }
    let mut at = 19;
    let mut ms = 0;
    if text.get(at) == Some(&b'.') {
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let shown = number(at + 1, at + 1 + digits.min(3))?;
        ms = shown * [100, 10, 1][digits.min(3) - 1];
        at += 1 + digits;
    }
    let offset = match text.get(at..)? {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] | [sign @ (b'+' | b'-'), _, _, _, _] => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(text.len() - 2, text.len())?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -60_000 } else { 60_000 }
        }
        _ => return None,
    };
    Some((days + day - 1) * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms - offset)
}

#[cfg(test)]
mod tests;
