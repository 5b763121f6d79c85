//! The strict path: an exact reader of RFC 8259 that also sees what the contract asks of JSON: no key twice in one
//! object after unescaping, no half of a surrogate pair, no nesting deeper than 128, no byte order mark. Written by
//! hand because the usual parsers hide some of these (a repeated key) or refuse what is valid (the number `1e400`).

use crate::fields::{Fields, Tag, Token, place_of};
use crate::{Reason, Rejection};
use std::collections::HashSet;

/// Brackets may nest so deep; the event's own braces are the first.
const DEPTH_MAX: usize = 128;

const NOT_JSON: Rejection = Rejection::whole(Reason::NotJson);
const REPEATED: Rejection = Rejection::whole(Reason::RepeatedField);

/// The fields of `text`, one JSON object. Strings that had escapes are appended to `scratch`, where their tokens point.
pub(crate) fn parse(text: &str, scratch: &mut String) -> Result<Fields, Rejection> {
    Parser { text: text.as_bytes(), at: 0, scratch }.whole()
}

/// The byte at which `text` is no JSON any more, or behind which a key comes again; `None` where it is JSON.
pub(crate) fn stopped_at(text: &str) -> Option<usize> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, scratch: &mut String::new() };
    let stops = parser.whole().is_err_and(|rejection| rejection.reason != Reason::NotAnObject);
    stops.then_some(parser.at)
}

/// Where the value that begins at `at` ends, and its text where it is a string; `None` where there is no whole one.
pub(crate) fn value_at(text: &str, at: usize) -> Option<(usize, Option<String>)> {
    let mut parser = Parser { text: text.as_bytes(), at, scratch: &mut String::new() };
    let token = parser.value(0).ok()?;
    let is_text = matches!(token.tag, Tag::Plain | Tag::Unescaped);
    let string = is_text.then(|| String::from_utf8_lossy(parser.text_of(token)).into_owned());
    Some((parser.at, string))
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    scratch: &'a mut String,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Fields, Rejection> {
        let mut fields = Fields::default();
        self.blanks();
        let is_object = self.peek() == Some(b'{');
        if is_object {
            self.object(1, Some(&mut fields))?;
        } else {
            self.value(0)?;
        }
        self.blanks();
        if self.at < self.text.len() {
            return Err(NOT_JSON);
        }
        if is_object { Ok(fields) } else { Err(Rejection::whole(Reason::NotAnObject)) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Rejection> {
        if self.peek() != Some(byte) {
            return Err(NOT_JSON);
        }
        self.at += 1;
        Ok(())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Any value, inside `depth` brackets.
    fn value(&mut self, depth: usize) -> Result<Token, Rejection> {
        match self.peek().ok_or(NOT_JSON)? {
            b'{' => self.object(depth + 1, None).map(|()| OTHER),
            b'[' => self.array(depth + 1).map(|()| OTHER),
            b'"' => self.string(),
            b't' => self.word(b"true").map(|()| OTHER),
            b'f' => self.word(b"false").map(|()| OTHER),
            b'n' => self.word(b"null").map(|()| Token::default()),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Rejection> {
        if !self.text[self.at..].starts_with(word) {
            return Err(NOT_JSON);
        }
        self.at += word.len();
        Ok(())
    }

    /// An object whose braces are the `depth`th; where `fields` is given, the values of the contract's keys go there.
    fn object(&mut self, depth: usize, mut fields: Option<&mut Fields>) -> Result<(), Rejection> {
        self.open(depth)?;
        let mut keys = HashSet::new();
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(NOT_JSON);
            }
            let token = self.string()?;
            let key = self.text_of(token).to_vec();
            let place = place_of(&key);
            if !keys.insert(key) {
                return Err(REPEATED);
            }
            self.blanks();
            self.expect(b':')?;
            self.blanks();
            let value = self.value(depth)?;
            if let (Some(fields), Some(place)) = (fields.as_deref_mut(), place) {
                fields.set(place, value);
            }
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Rejection> {
        self.open(depth)?;
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            self.blanks();
            self.value(depth)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    fn open(&mut self, depth: usize) -> Result<(), Rejection> {
        if depth > DEPTH_MAX {
            return Err(NOT_JSON);
        }
        self.at += 1;
        Ok(())
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.blanks();
        let closes = self.peek() == Some(bracket);
        self.at += usize::from(closes);
        closes
    }

    /// After a member: true at a comma, false at the closing bracket.
    fn goes_on(&mut self, bracket: u8) -> Result<bool, Rejection> {
        if self.closes(bracket) {
            return Ok(false);
        }
        self.expect(b',').map(|()| true)
    }

    fn text_of(&self, token: Token) -> &[u8] {
        let (start, end) = (token.start as usize, token.end as usize);
        if token.tag == Tag::Unescaped { &self.scratch.as_bytes()[start..end] } else { &self.text[start..end] }
    }

    fn string(&mut self) -> Result<Token, Rejection> {
        self.at += 1;
        let start = self.at;
        let unescaped_from = self.scratch.len();
        let mut copied_to = start;
        loop {
            match self.peek().ok_or(NOT_JSON)? {
                b'"' => break,
                b'\\' => {
                    self.copy(copied_to, self.at)?;
                    self.at += 1;
                    let character = self.escape()?;
                    self.scratch.push(character);
                    copied_to = self.at;
                }
                0..=0x1f => return Err(NOT_JSON),
                _ => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        if copied_to == start {
            return token(Tag::Plain, start, end);
        }
        self.copy(copied_to, end)?;
        token(Tag::Unescaped, unescaped_from, self.scratch.len())
    }

    fn copy(&mut self, from: usize, to: usize) -> Result<(), Rejection> {
        let text = str::from_utf8(&self.text[from..to]).map_err(|_| NOT_JSON)?;
        self.scratch.push_str(text);
        Ok(())
    }

    /// The character of an escape, whose backslash has been read.
    fn escape(&mut self) -> Result<char, Rejection> {
        let byte = self.peek().ok_or(NOT_JSON)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first).ok_or(NOT_JSON);
                }
                self.word(b"\\u")?;
                let second = self.hex4()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(NOT_JSON);
                }
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(NOT_JSON)?
            }
            _ => return Err(NOT_JSON),
        })
    }

    fn hex4(&mut self) -> Result<u32, Rejection> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(NOT_JSON)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| Ok(value << 4 | char::from(*digit).to_digit(16).ok_or(NOT_JSON)?))
    }

    fn number(&mut self) -> Result<Token, Rejection> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(NOT_JSON),
        }
        let (end, mut tag) = (self.at, Tag::Integer);
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            let is_whole = self.text[end + 1..self.at].iter().all(|digit| *digit == b'0');
            tag = if is_whole { Tag::Whole } else { Tag::Other };
        }
        if let Some(b'e' | b'E') = self.peek() {
            tag = Tag::Other;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        token(tag, start, end)
    }

    fn digits(&mut self) -> Result<(), Rejection> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(NOT_JSON) } else { Ok(()) }
    }
}

const OTHER: Token = Token { tag: Tag::Other, start: 0, end: 0 };

fn token(tag: Tag, start: usize, end: usize) -> Result<Token, Rejection> {
    // An event has at most 1 MiB, so places in it always fit.
    let place = |at: usize| u32::try_from(at).map_err(|_| Rejection::whole(Reason::TooLarge));
    Ok(Token { tag, start: place(start)?, end: place(end)? })
}
