//! The few strings that survive decoding, kept beside the plain events: `via` of a join, and what a retweet says.

use crate::{Event, Kind, NO_DETAIL};

/// The strings of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail<'a> {
    /// `via` of a join: id of the tweet or link that brought the viewer, 1 to 256 bytes.
    Via(&'a str),
    /// What a retweet says.
    Retweet(RetweetDetail<'a>),
}

/// What a retweet says beside its broadcast and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetweetDetail<'a> {
    /// The retweet itself, 1 to 256 bytes.
    pub tweet_id: &'a str,
    /// Who posted it, 1 to 256 bytes.
    pub user_id: &'a str,
    /// Followers of that account, 0 to 10^12; `None` where unknown.
    pub followers: Option<i64>,
    /// The retweet or tweet that it passes on.
    pub retweet_of: Option<&'a str>,
}

/// An append-only arena of [`Detail`]s. A place in it is a `u32`, so an arena holds at most 4 GiB less one detail.
#[derive(Clone, Debug, Default)]
pub struct Details {
    bytes: Vec<u8>,
}

const VIA: u8 = 0;
const RETWEET: u8 = 1;
const ABSENT: u16 = u16::MAX;

impl Details {
    /// An empty arena.
    pub fn new() -> Details {
        Details::default()
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Drops everything; places given out before mean nothing any more.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Keeps `detail` and returns its place.
    pub fn push(&mut self, detail: Detail<'_>) -> u32 {
        let place = u32::try_from(self.bytes.len()).expect("an arena is bounded far below 4 GiB by its batch");
        match detail {
            Detail::Via(via) => {
                self.bytes.push(VIA);
                self.push_str(Some(via));
            }
            Detail::Retweet(retweet) => {
                self.bytes.push(RETWEET);
                self.bytes.extend_from_slice(&retweet.followers.unwrap_or(-1).to_le_bytes());
                self.push_str(Some(retweet.tweet_id));
                self.push_str(Some(retweet.user_id));
                self.push_str(retweet.retweet_of);
            }
        }
        place
    }

    /// The detail at `place`, or `None` for [`NO_DETAIL`].
    pub fn get(&self, place: u32) -> Option<Detail<'_>> {
        if place == NO_DETAIL {
            return None;
        }
        let mut at = place as usize;
        let tag = self.bytes[at];
        at += 1;
        if tag == VIA {
            return self.take_str(&mut at).map(Detail::Via);
        }
        let (followers, _) = self.bytes[at..].split_first_chunk::<8>()?;
        let followers = i64::from_le_bytes(*followers);
        at += 8;
        let tweet_id = self.take_str(&mut at)?;
        let user_id = self.take_str(&mut at)?;
        let retweet_of = self.take_str(&mut at);
        let followers = (followers >= 0).then_some(followers);
        Some(Detail::Retweet(RetweetDetail { tweet_id, user_id, followers, retweet_of }))
    }

    /// `via` of a join, where it has one.
    pub fn via(&self, event: &Event) -> Option<&str> {
        match self.get(event.detail) {
            Some(Detail::Via(via)) if event.kind() == Kind::Join => Some(via),
            _ => None,
        }
    }

    /// What a retweet says.
    pub fn retweet(&self, event: &Event) -> Option<RetweetDetail<'_>> {
        match self.get(event.detail) {
            Some(Detail::Retweet(retweet)) => Some(retweet),
            _ => None,
        }
    }

    /// Copies the detail of `event`, whose place is in `from`, into this arena, and returns the event with its new
    /// place.
    #[must_use]
    pub fn adopt(&mut self, event: Event, from: &Details) -> Event {
        match from.get(event.detail) {
            None => event,
            Some(detail) => Event { detail: self.push(detail), ..event },
        }
    }

    fn push_str(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            self.bytes.extend_from_slice(&ABSENT.to_le_bytes());
            return;
        };
        let len = u16::try_from(text.len()).expect("an id has at most 256 bytes");
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn take_str(&self, at: &mut usize) -> Option<&str> {
        let (len, _) = self.bytes[*at..].split_first_chunk::<2>()?;
        *at += 2;
        let len = u16::from_le_bytes(*len);
        if len == ABSENT {
            return None;
        }
        let start = *at;
        *at += usize::from(len);
        str::from_utf8(&self.bytes[start..*at]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let mut details = Details::new();
        let retweet = RetweetDetail { tweet_id: "t1", user_id: "é", followers: Some(22_000), retweet_of: None };
        let bare = RetweetDetail { tweet_id: "t2", user_id: "u", followers: None, retweet_of: Some("t1") };
        let places = [Detail::Via("t1"), Detail::Retweet(retweet), Detail::Retweet(bare)].map(|d| (d, details.push(d)));
        for (detail, place) in places {
            assert_eq!(details.get(place), Some(detail));
        }
        assert_eq!(details.get(NO_DETAIL), None);
    }
}
