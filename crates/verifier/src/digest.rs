//! The digest of rows: a sum of hashes that does not depend on their order, so that two tables can be compared airing
//! by airing in one pass over each and little memory. Equal rows give equal digests; other rows, but for chance of
//! 2^-128, do not.

use audience::{AiringRow, DistinctAiring, DistinctMinute, MinuteRow, Ms, RetweetDetail, RetweetRow, SessionRow, Stay};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Number and sum of the hashes of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    sum: u128,
}

impl Digest {
    fn add(&mut self, hasher: &SipHasher24) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128());
    }

    /// Adds `times` times the hash of one number.
    pub(super) fn add_times(&mut self, number: i64, times: i64) {
        let mut hasher = SipHasher24::new();
        hasher.write_i64(number);
        let times = u128::from(times.unsigned_abs());
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128().wrapping_mul(times));
    }

    /// Adds an instant with some counts.
    pub(super) fn add_instant(&mut self, at: Ms, counts: [i64; 2]) {
        let mut hasher = SipHasher24::new();
        hasher.write_i64(at);
        counts.into_iter().for_each(|count| hasher.write_i64(count));
        self.add(&hasher);
    }

    pub(super) fn add_airing(&mut self, row: &AiringRow) {
        let mut hasher = SipHasher24::new();
        let numbers = [
            row.airing_at,
            row.last_at,
            row.sessions,
            row.reach,
            row.viewers_max,
            row.viewer_ms,
            row.joins,
            row.leaves,
            row.lapses,
            row.retweets,
            row.retweet_followers,
            row.applied,
            row.repeated,
            row.orphaned,
        ];
        numbers.into_iter().for_each(|number| hasher.write_i64(number));
        for number in [row.first_joined_at, row.airtime_ms, row.viewers_max_at] {
            maybe(&mut hasher, number);
        }
        hasher.write_u8(u8::from(row.distinct.is_some()));
        let DistinctAiring { max, max_at, ms, returns } = row.distinct.unwrap_or_default();
        [max, ms, returns].into_iter().for_each(|number| hasher.write_i64(number));
        maybe(&mut hasher, max_at);
        stays(&mut hasher, &row.stays);
        self.add(&hasher);
    }

    pub(super) fn add_minute(&mut self, row: &MinuteRow) {
        let mut hasher = curve_of(row);
        let numbers = [
            row.airing_at,
            row.leaves,
            row.lapses,
            row.retweets,
            row.retweet_followers,
            row.late,
            row.lapses_backdated,
        ];
        numbers.into_iter().for_each(|number| hasher.write_i64(number));
        hasher.write_u8(u8::from(row.complete));
        self.add(&hasher);
    }

    /// What a minute's sessions alone say of it; nothing of a minute without any.
    pub(super) fn add_curve(&mut self, row: &MinuteRow) {
        if row.joins + row.leaves + row.lapses + row.viewers_start > 0 {
            self.add(&curve_of(row));
        }
    }

    pub(super) fn add_session(&mut self, row: &SessionRow, via: Option<&str>) {
        let mut hasher = SipHasher24::new();
        hasher.write_u128(row.viewer);
        hasher.write_u128(row.session);
        [row.airing_at, row.joined_at, row.left_at].into_iter().for_each(|number| hasher.write_i64(number));
        hasher.write_u8(row.ended as u8);
        text(&mut hasher, via);
        self.add(&hasher);
    }

    pub(super) fn add_retweet(&mut self, row: &RetweetRow, said: RetweetDetail<'_>) {
        let mut hasher = SipHasher24::new();
        hasher.write_i64(row.airing_at);
        hasher.write_i64(row.retweeted_at);
        maybe(&mut hasher, said.followers);
        for id in [Some(said.tweet_id), Some(said.user_id), said.retweet_of] {
            text(&mut hasher, id);
        }
        self.add(&hasher);
    }
}

fn curve_of(row: &MinuteRow) -> SipHasher24 {
    let mut hasher = SipHasher24::new();
    let numbers = [
        row.minute_at,
        row.joins,
        row.leaves + row.lapses,
        row.viewers_start,
        row.viewers_end,
        row.viewers_max,
        row.viewers_max_at,
        row.viewers_min,
        row.viewer_ms,
        row.new_viewers,
    ];
    numbers.into_iter().for_each(|number| hasher.write_i64(number));
    hasher.write_u8(u8::from(row.distinct.is_some()));
    let DistinctMinute { start, end, max, max_at, min, ms, returns } = row.distinct.unwrap_or_default();
    [start, end, max, max_at, min, ms, returns].into_iter().for_each(|number| hasher.write_i64(number));
    stays(&mut hasher, &row.stays);
    hasher
}

fn stays(hasher: &mut SipHasher24, stays: &[Stay]) {
    hasher.write_usize(stays.len());
    for stay in stays {
        hasher.write_i64(stay.ms);
        hasher.write_i64(stay.sessions);
    }
}

fn maybe(hasher: &mut SipHasher24, number: Option<Ms>) {
    hasher.write_u8(u8::from(number.is_some()));
    hasher.write_i64(number.unwrap_or_default());
}

fn text(hasher: &mut SipHasher24, text: Option<&str>) {
    let text = text.unwrap_or_default();
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

impl std::ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}
