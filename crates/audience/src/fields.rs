//! The fields of one event as tokens: where each value stands and of what JSON type it is. The quick and the strict
//! path both end here, so that every rule about a field is written once, in `decode`.

use crate::Field;

/// The fields that an event may have, in the contract's order; the discriminant is the place in [`Fields`].
pub(crate) const FIELDS: [Field; 10] = [
    Field::Type,
    Field::BroadcastId,
    Field::Ts,
    Field::ViewerId,
    Field::SessionId,
    Field::Via,
    Field::TweetId,
    Field::UserId,
    Field::Followers,
    Field::RetweetOf,
];

/// JSON type of a value, as far as the contract tells types apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The field is not there, or null: the contract treats both alike.
    #[default]
    Absent,
    /// A string that stands in the input as it is.
    Plain,
    /// A string that had escapes; its text is in the scratch buffer.
    Unescaped,
    /// An integer, as written.
    Integer,
    /// A number that has nothing but zeros behind its point, and no exponent; its text ends before the point. No id is
    /// written so.
    Whole,
    /// Anything else: a fraction, an exponent, true, false, an array, an object.
    Other,
}

/// One value: its type, and where its text stands, half open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tag: Tag,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// The ten fields of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    tokens: [Token; FIELDS.len()],
}

impl Fields {
    pub(crate) fn set(&mut self, place: usize, token: Token) {
        self.tokens[place] = token;
    }

    pub(crate) fn token(&self, field: Field) -> Token {
        self.tokens[field as usize - 1]
    }
}

/// The place of a key among the fields; `None` for a key that the contract does not know.
pub(crate) fn place_of(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"type" => 0,
        b"broadcast_id" => 1,
        b"ts" => 2,
        b"viewer_id" => 3,
        b"session_id" => 4,
        b"via" => 5,
        b"tweet_id" => 6,
        b"user_id" => 7,
        b"followers" => 8,
        b"retweet_of" => 9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_contract() {
        for (place, field) in FIELDS.into_iter().enumerate() {
            assert_eq!(field as usize - 1, place);
            assert_eq!(place_of(field.word().as_bytes()), Some(place));
        }
        assert_eq!(place_of(b""), None);
    }
}
