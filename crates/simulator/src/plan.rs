//! A plan: how many viewers must come of their own accord, second by second, so that together with those whom retweets
//! bring, and those who reconnect after a crash, the audience follows its script *on average*. The organic flow stays
//! smooth, so a retweet's joins stand out of it, as they would in a real audience; nothing takes them back afterwards.

use crate::curve::{Knot, levels};
use crate::retweets::{DELAYS, Retweet};
use crate::script::Script;
use crate::whole;

/// Share of the sessions that a crash ends.
pub(crate) const CRASH_SHARE: f64 = 0.95;
/// Seconds after a crash in which nobody can join.
pub(crate) const OUTAGE_S: u32 = 20;
/// Share of the viewers so lost who try again at once.
pub(crate) const RECONNECT_SHARE: f64 = 0.3;
/// Mean delay after the outage of the viewers who try again, ms.
pub(crate) const RECONNECT_MS: f64 = 40_000.0;
/// Mean delay of a join by word of mouth after the join that brought it, ms.
pub(crate) const MOUTH_MS: f64 = 60_000.0;

/// Stays are drawn from a mixture of exponentials: share and mean, s, for a show of the night's length. Some look in,
/// some watch for a while, some stay until the crash or the end; the last mean is set so that the night has 385,000
/// sessions.
const STAYS: [(f64, f64); 3] = [(0.3, 90.0), (0.35, 900.0), (0.35, 11_650.0)];

/// How long viewers stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StayLengths {
    /// Share and mean, ms.
    pub(crate) parts: [(f64, f64); 3],
}

impl StayLengths {
    fn new(stretch: f64) -> StayLengths {
        // Even a short show keeps a viewer for some seconds.
        StayLengths { parts: STAYS.map(|(share, mean)| (share, (mean * stretch).max(5.0) * 1_000.0)) }
    }
}

/// The plan of one broadcast.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Organic joins to expect in each second, those by word of mouth not among them.
    pub(crate) arrivals: Vec<f64>,
    /// Organic viewers to expect at the start of each second.
    pub(crate) organic: Vec<f64>,
}

/// Viewers to expect, by part of the mixture of stays.
struct Present {
    viewers: [f64; 3],
    /// Share that is still there a second later.
    keeps: [f64; 3],
    /// Viewers still there at the end of a second in which one joined in this part or another.
    enters: [f64; 3],
}

impl Present {
    fn new(stays: &StayLengths) -> Present {
        let keeps = stays.parts.map(|(_, mean)| libm::exp(-1_000.0 / mean));
        let mut enters = [0.0; 3];
        for (part, (share, mean)) in stays.parts.into_iter().enumerate() {
            enters[part] = share * mean / 1_000.0 * (1.0 - keeps[part]);
        }
        Present { viewers: [0.0; 3], keeps, enters }
    }

    fn total(&self) -> f64 {
        self.viewers.iter().sum()
    }

    /// Joins in the next second that make the total `wanted` after it.
    fn missing(&self, wanted: f64) -> f64 {
        let kept: f64 = self.viewers.iter().zip(self.keeps).map(|(viewers, keep)| viewers * keep).sum();
        ((wanted - kept) / self.enters.iter().sum::<f64>()).max(0.0)
    }

    fn pass_second(&mut self, joins: f64) {
        for part in 0..self.viewers.len() {
            self.viewers[part] = self.viewers[part] * self.keeps[part] + joins * self.enters[part];
        }
    }

    fn crash(&mut self) {
        self.viewers = self.viewers.map(|viewers| viewers * (1.0 - CRASH_SHARE));
    }
}

/// Joins that are still to come after exponential delays.
struct Pending {
    joins: f64,
    /// Share that comes in a second.
    comes: f64,
}

impl Pending {
    fn new(mean_ms: f64) -> Pending {
        Pending { joins: 0.0, comes: 1.0 - libm::exp(-1_000.0 / mean_ms) }
    }

    fn pass_second(&mut self) -> f64 {
        let come = self.joins * self.comes;
        self.joins -= come;
        come
    }
}

impl Plan {
    /// Plans a broadcast and says how long its viewers stay. `target` is the script's, `word_of_mouth` the joins that a
    /// join brings.
    pub(crate) fn new(
        script: &Script,
        target: &[f64],
        retweets: &[Retweet],
        word_of_mouth: f64,
    ) -> (Plan, StayLengths) {
        let stays = StayLengths::new(script.stretch);
        let brought = brought(script, target, retweets, word_of_mouth, &stays);
        let wanted = organic_target(script, &brought);
        let outage = script.crash().map_or(0..0, |crash| crash as usize..(crash + OUTAGE_S) as usize);
        let mut present = Present::new(&stays);
        let mut by_mouth = Pending::new(MOUTH_MS);
        let seconds = script.seconds as usize;
        let mut plan = Plan { arrivals: Vec::with_capacity(seconds), organic: Vec::with_capacity(seconds) };
        for second in 0..seconds {
            if second == outage.start && !outage.is_empty() {
                present.crash();
            }
            plan.organic.push(present.total());
            let told = by_mouth.pass_second();
            let joins = if outage.contains(&second) { told } else { present.missing(wanted[second + 1]).max(told) };
            by_mouth.joins += word_of_mouth * joins;
            present.pass_second(joins);
            plan.arrivals.push(joins - told);
        }
        (plan, stays)
    }
}

/// Viewers to expect at the start of each second, and at the end, whom retweets brought, with the word of mouth that
/// they started, or who reconnected.
fn brought(script: &Script, target: &[f64], retweets: &[Retweet], word_of_mouth: f64, stays: &StayLengths) -> Vec<f64> {
    let mut direct = DELAYS.map(|(_, mean)| Pending::new(mean));
    let (mut by_mouth, mut reconnects) = (Pending::new(MOUTH_MS), Pending::new(RECONNECT_MS));
    let mut present = Present::new(stays);
    let mut next = retweets.iter().peekable();
    let mut viewers = Vec::with_capacity(script.seconds as usize + 1);
    for second in 0..script.seconds {
        // The knot at the crash is the audience just before it.
        viewers.push(present.total());
        if script.crash() == Some(second) {
            present.crash();
        }
        if script.crash().is_some_and(|crash| second == crash + OUTAGE_S) {
            reconnects.joins = CRASH_SHARE * RECONNECT_SHARE * target[(second - OUTAGE_S) as usize];
        }
        while let Some(retweet) = next.next_if(|retweet| retweet.at / 1_000 <= second) {
            for (pending, (share, _)) in direct.iter_mut().zip(DELAYS) {
                pending.joins += f64::from(retweet.joins) * share;
            }
        }
        let joins = direct.iter_mut().map(Pending::pass_second).sum::<f64>() + by_mouth.pass_second();
        by_mouth.joins += word_of_mouth * joins;
        present.pass_second(joins + reconnects.pass_second());
    }
    viewers.push(present.total());
    viewers
}

/// The organic audience that is aimed at, at the start of each second and at the end: the script less what is brought.
/// It is smooth between the script's knots.
fn organic_target(script: &Script, brought: &[f64]) -> Vec<f64> {
    // Where chance brings too many at once, the curve lies above its script for a while rather than without an organic
    // audience.
    let organic = |&(at, level): &Knot| (at, (level - brought[whole(at) as usize]).max(0.25 * level));
    let before: Vec<Knot> = script.before.iter().map(organic).collect();
    let mut wanted = levels(&before);
    if let (Some(crash), Some(&(at, last))) = (script.crash(), before.last()) {
        let fallen = last * (1.0 - CRASH_SHARE);
        let mut after = vec![(at, fallen), (f64::from(crash + OUTAGE_S), fallen)];
        after.extend(script.after.iter().map(organic));
        wanted.pop();
        wanted.extend(levels(&after));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::{Concern, Dice};
    use crate::{NightOptions, PUBLISHED, retweets};

    #[test]
    fn organic_and_brought_viewers_make_the_script() {
        let script = Script::new(&NightOptions::default(), 0);
        let target = script.target();
        let retweets = retweets::draw(&script, 1, &target, &mut Dice::new(1, 0, Concern::Retweets));
        let (plan, stays) = Plan::new(&script, &target, &retweets, 0.2);
        let brought = brought(&script, &target, &retweets, 0.2, &stays);
        for (at, viewers) in PUBLISHED {
            let second = usize::try_from(at / 1_000).expect("small");
            let level = plan.organic[second] + brought[second];
            assert!((level / f64::from(viewers) - 1.0).abs() < 0.002, "{level} for {viewers}");
        }
        assert_eq!(plan.arrivals.len(), 314 * 60);
        assert!(plan.arrivals.iter().all(|joins| *joins >= 0.0));
    }
}
