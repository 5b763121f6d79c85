//! The quick path: a scanner for the common shape of an event. It reads one flat object whose keys are the contract's,
//! each at most once, whose strings have no escapes and whose numbers are short integers. At anything else it gives up,
//! and the strict path decides. Producers write their keys in one order, so the order of the event before is tried
//! first: a key that stands where it stood then costs one comparison.

use crate::fields::{FIELDS, Fields, Tag, Token, place_of};

/// The order of the keys in the event scanned last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    places: [u8; FIELDS.len()],
}

/// `"key":` as it stands in an event without blanks, as a little-endian number, and how many bytes it has: 16 at most.
struct Quoted {
    word: u128,
    mask: u128,
    bytes: usize,
}

const QUOTED: [Quoted; FIELDS.len()] = {
    let mut quoted = [const { Quoted { word: 0, mask: 0, bytes: 0 } }; FIELDS.len()];
    let mut place = 0;
    while place < FIELDS.len() {
        let key = FIELDS[place].word().as_bytes();
        let mut text = [0; 16];
        text[0] = b'"';
        let mut at = 0;
        while at < key.len() {
            text[at + 1] = key[at];
            at += 1;
        }
        text[key.len() + 1] = b'"';
        text[key.len() + 2] = b':';
        let bytes = key.len() + 3;
        quoted[place] = Quoted { word: u128::from_le_bytes(text), mask: u128::MAX >> (128 - 8 * bytes), bytes };
        place += 1;
    }
    quoted
};

/// Puts the fields of `text` into `fields`; `None` where its shape is not the common one. What it accepts, the strict
/// path accepts with the same result.
pub(crate) fn scan(text: &[u8], order: &mut Order, fields: &mut Fields) -> Option<()> {
    *fields = Fields::default();
    let mut seen = 0u16;
    let mut at = skip_blanks(text, 0);
    if text.get(at) != Some(&b'{') {
        return None;
    }
    at = skip_blanks(text, at + 1);
    for expected in &mut order.places {
        let (place, next) = key(text, at, expected)?;
        if seen & (1 << place) != 0 {
            return None;
        }
        seen |= 1 << place;
        let (token, next) = value(text, skip_blanks(text, next))?;
        fields.set(place, token);
        at = skip_blanks(text, next);
        match text.get(at)? {
            b',' => at = skip_blanks(text, at + 1),
            b'}' => return (skip_blanks(text, at + 1) == text.len()).then_some(()),
            _ => return None,
        }
    }
    None
}

/// The place of the key at `at` among the fields, and the place in `text` after its colon. `expected` is the place
/// tried first, and remembers the one found.
fn key(text: &[u8], at: usize, expected: &mut u8) -> Option<(usize, usize)> {
    let place = usize::from(*expected);
    let Quoted { word, mask, bytes } = QUOTED[place];
    if text.get(at..)?.first_chunk().is_some_and(|chunk| u128::from_le_bytes(*chunk) & mask == word) {
        return Some((place, at + bytes));
    }
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let end = plain_end(text, at + 1)?;
    let place = place_of(&text[at + 1..end])?;
    let colon = skip_blanks(text, end + 1);
    if text.get(colon) != Some(&b':') {
        return None;
    }
    *expected = u8::try_from(place).ok()?;
    Some((place, colon + 1))
}

/// The value at `at` and the place after it.
fn value(text: &[u8], at: usize) -> Option<(Token, usize)> {
    match text.get(at)? {
        b'"' => {
            let end = plain_end(text, at + 1)?;
            Some((token(Tag::Plain, at + 1, end)?, end + 1))
        }
        b'1'..=b'9' => {
            let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let end = at + digits;
            // A fraction or an exponent makes another type of it, which the strict path names.
            let ends_here = matches!(text.get(end)?, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
            if ends_here { Some((token(Tag::Integer, at, end)?, end)) } else { None }
        }
        b'n' if text[at..].starts_with(b"null") => Some((Token::default(), at + 4)),
        _ => None,
    }
}

fn token(tag: Tag, start: usize, end: usize) -> Option<Token> {
    Some(Token { tag, start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
}

fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = text.get(at) {
        at += 1;
    }
    at
}

/// The place of the quote that ends a string without escapes and control characters; `None` where there is no such
/// string.
fn plain_end(text: &[u8], start: usize) -> Option<usize> {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    const HIGHS: u128 = u128::from_le_bytes([0x80; 16]);
    let mut at = start;
    // Sixteen bytes at a time, so that most ids take one turn: a byte is special where it is a quote, a backslash or
    // below 0x20. The test for a zero byte is exact up to its lowest hit, which is the one that counts.
    while let Some(chunk) = text.get(at..)?.first_chunk::<16>() {
        let word = u128::from_le_bytes(*chunk);
        let zero = |x: u128| x.wrapping_sub(ONES) & !x;
        let quote = zero(word ^ u128::from_le_bytes([b'"'; 16]));
        let backslash = zero(word ^ u128::from_le_bytes([b'\\'; 16]));
        let control = word.wrapping_sub(u128::from_le_bytes([0x20; 16])) & !word;
        let special = (quote | backslash | control) & HIGHS;
        if special != 0 {
            at += (special.trailing_zeros() / 8) as usize;
            return (text[at] == b'"').then_some(at);
        }
        at += 16;
    }
    let rest = text[at..].iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20)?;
    (text[at + rest] == b'"').then_some(at + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_quote_wherever_it_stands() {
        for len in 0..40 {
            let mut text = vec![b'a'; len];
            text.extend_from_slice(b"\",\x01\\");
            assert_eq!(plain_end(&text, 0), Some(len));
            for special in [b'\\', 0x1f, 0x00, b'\n'] {
                for place in 0..len {
                    let mut bad = text.clone();
                    bad[place] = special;
                    assert_eq!(plain_end(&bad, 0), None, "{special} at {place} of {len}");
                }
            }
            let mut accented = vec![0xc3, 0xa9];
            accented.extend_from_slice(&text);
            assert_eq!(plain_end(&accented, 0), Some(len + 2));
        }
    }

    #[test]
    fn gives_up_on_anything_odd() {
        for odd in [
            r#"{}"#,
            r#"[]"#,
            r#"{"type":"join","type":"join"}"#,
            r#"{"ts":01}"#,
            r#"{"ts":1.0}"#,
            r#"{"ts":-1}"#,
            r#"{"other":1}"#,
            r#"{"type":"join"}x"#,
            r#"{"type":"join",}"#,
            r#"{"type":"jo\u0069n"}"#,
            r#"{"via":true}"#,
            r#"{"ts":1"#,
            r#"{"ts":0}"#,
            "",
        ] {
            assert_eq!(scan(odd.as_bytes(), &mut Order::default(), &mut Fields::default()), None, "{odd}");
        }
        let blanks = b" { \"type\" : \"join\" , \"ts\" : 12 , \"via\" : null } \r";
        assert!(scan(blanks, &mut Order::default(), &mut Fields::default()).is_some());
    }
}
