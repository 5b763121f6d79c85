//! Retweets: who passes a broadcast on, when, and how many joins that brings. Followers are heavy-tailed, and a
//! retweet's effect is a power of them, as in the cascade models of the literature, so that one large account stands
//! out of hundreds of small ones.

use std::num::NonZeroU64;

use crate::dice::{Dice, scramble};
use crate::event::RELAY;
use crate::script::Script;
use crate::{Ms, whole};

/// Followers of the relay, exactly.
pub(crate) const RELAY_FOLLOWERS: u32 = 22_000;

/// A retweet brings joins as followers^0.8.
const FOLLOWERS_POWER: f64 = 0.8;

/// The median of all accounts but the relay, and the spread of its logarithm.
const FOLLOWERS_MEDIAN: f64 = 250.0;
const FOLLOWERS_SPREAD: f64 = 1.5;
const FOLLOWERS_MAX: f64 = 15_000.0;

/// Spread of the logarithm of how much an account brings beside its followers.
const LUCK_SPREAD: f64 = 0.4;

/// A retweet's direct joins follow it after exponential delays: share and mean, ms.
pub(crate) const DELAYS: [(f64, f64); 2] = [(0.7, 60_000.0), (0.3, 300_000.0)];

/// Twitter's epoch, from which its ids count ms in their upper bits.
const TWEET_EPOCH: Ms = 1_288_834_974_657;

/// One retweet as it will happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retweet {
    /// Ms after the start.
    pub(crate) at: u32,
    /// Its id.
    pub(crate) tweet: NonZeroU64,
    /// The account.
    pub(crate) user: u64,
    /// Its followers.
    pub(crate) followers: u32,
    /// Whether the event tells them.
    pub(crate) known: bool,
    /// What it passes on, where the event tells it.
    pub(crate) of: Option<NonZeroU64>,
    /// Joins that it brings directly, if the broadcast lasts long enough for all of them.
    pub(crate) joins: u32,
}

/// Draws the retweets of a broadcast, in order of time; they come as the `target` audience is large.
pub(crate) fn draw(script: &Script, seed: u64, target: &[f64], dice: &mut Dice) -> Vec<Retweet> {
    let mut times: Vec<(u32, bool)> = (0..script.retweets).map(|_| (draw_time(target, dice), false)).collect();
    times.extend(script.relay.map(|(second, _)| (second * 1_000, true)));
    times.sort_unstable();
    let announcement = tweet_id(script, -600_000, 0);
    let mut retweets: Vec<Retweet> = Vec::with_capacity(times.len());
    for (place, (at, is_relay)) in (1u64..).zip(times) {
        let tweet = tweet_id(script, Ms::from(at), place);
        if is_relay {
            let gain = script.relay.map_or(0.0, |relay| relay.1);
            let joins = dice.poisson(gain * libm::pow(f64::from(RELAY_FOLLOWERS), FOLLOWERS_POWER));
            let retweet = Retweet {
                at,
                tweet,
                user: RELAY,
                followers: RELAY_FOLLOWERS,
                known: true,
                of: Some(announcement),
                joins,
            };
            retweets.push(retweet);
            continue;
        }
        let (user, followers) = draw_account(script, seed, place, &retweets, dice);
        let luck = libm::exp(LUCK_SPREAD * dice.normal() - LUCK_SPREAD * LUCK_SPREAD / 2.0);
        let joins = dice.poisson(script.gain * luck * libm::pow(f64::from(followers), FOLLOWERS_POWER));
        let known = !dice.chance(0.02);
        let of = draw_source(announcement, &retweets, dice);
        retweets.push(Retweet { at, tweet, user, followers, known, of, joins });
    }
    retweets
}

/// A time, ms after the start, as likely as the target is high there.
fn draw_time(target: &[f64], dice: &mut Dice) -> u32 {
    let last = target.len().saturating_sub(1) as u64;
    let peak = target.iter().copied().fold(0.0, f64::max);
    loop {
        let second = dice.below(last);
        if dice.unit() * peak <= target[second as usize] {
            return second as u32 * 1_000 + dice.below(1_000) as u32;
        }
    }
}

/// An account and its followers; now and then one that has retweeted before.
fn draw_account(script: &Script, seed: u64, place: u64, earlier: &[Retweet], dice: &mut Dice) -> (u64, u32) {
    if dice.chance(0.06)
        && let Some(known) = earlier.get(dice.below(earlier.len() as u64) as usize)
        && known.user != RELAY
    {
        return (known.user, known.followers);
    }
    // Above 0, which is the relay's, and of the length that accounts had then.
    let user = (scramble(scramble(seed) ^ (u64::from(script.broadcast) << 32 | place)) >> 32) + 1_000_000;
    let followers = FOLLOWERS_MEDIAN * libm::exp(FOLLOWERS_SPREAD * dice.normal());
    (user, whole(followers.clamp(1.0, FOLLOWERS_MAX)))
}

/// What is passed on: most often the announcement, else the larger of two earlier retweets; untold where the client is
/// too simple.
fn draw_source(announcement: NonZeroU64, earlier: &[Retweet], dice: &mut Dice) -> Option<NonZeroU64> {
    if dice.chance(0.03) {
        return None;
    }
    if !dice.chance(0.2) || earlier.is_empty() {
        return Some(announcement);
    }
    let [one, other] = [0; 2].map(|_| &earlier[dice.below(earlier.len() as u64) as usize]);
    Some(if one.followers >= other.followers { one.tweet } else { other.tweet })
}

/// The id of the tweet in this place, `at` ms after the start: time in the upper bits, as Twitter's were.
fn tweet_id(script: &Script, at: Ms, place: u64) -> NonZeroU64 {
    let ms = (script.start + at - TWEET_EPOCH).max(0).unsigned_abs();
    // 17 bits of place keep the tweets of one broadcast apart even before that epoch.
    NonZeroU64::MIN | (ms << 22 | u64::from(script.broadcast & 15) << 18 | place << 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NightOptions;
    use crate::dice::Concern;

    #[test]
    fn the_relay_stands_out() {
        let options = NightOptions::default();
        let script = Script::new(&options, 0);
        let retweets = draw(&script, 1, &script.target(), &mut Dice::new(1, 0, Concern::Retweets));
        assert_eq!(retweets.len(), 300);
        assert!(retweets.is_sorted_by_key(|retweet| retweet.at));
        let relay: Vec<_> = retweets.iter().filter(|retweet| retweet.user == RELAY).collect();
        assert_eq!(relay.len(), 1);
        assert_eq!(relay[0].followers, 22_000);
        assert!((2_700..3_300).contains(&relay[0].joins), "{}", relay[0].joins);
        assert!(retweets.iter().all(|retweet| retweet.user == RELAY || retweet.followers <= 15_000));
        let mut tweets: Vec<_> = retweets.iter().map(|retweet| retweet.tweet).collect();
        tweets.sort_unstable();
        tweets.dedup();
        assert_eq!(tweets.len(), 300);
        let passed_on = |source: NonZeroU64| tweets.binary_search(&source).is_ok();
        let chained = retweets.iter().filter(|retweet| retweet.of.is_some_and(passed_on)).count();
        assert!((30..90).contains(&chained), "{chained}");
    }
}
