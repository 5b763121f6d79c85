//! A script: what is to happen in one broadcast before chance fills it with people. The night's is written here by
//! hand, from what was published; the other shows' are drawn.

use crate::curve::{Knot, levels};
use crate::dice::{Concern, Dice};
use crate::json::write_u64;
use crate::{Ms, NightOptions, whole};

/// `broadcast_id` of the night.
pub const NIGHT_ID: &str = "nuit-debout";

/// What was published of the night: ms after its start, and concurrent viewers. In Paris time: 21:30, 22:30, 22:50,
/// 23:00, 23:35 (the peak) and, half an hour after the crash, 00:28. An eye-witness's notes of the app's counter and
/// the press: six points, not a measurement. All the rest of the curve is this simulator's.
pub const PUBLISHED: [(Ms, u32); 6] = [
    (119 * 60_000, 22_000),
    (179 * 60_000, 41_000),
    (199 * 60_000, 50_000),
    (209 * 60_000, 60_000),
    (244 * 60_000, 81_000),
    (297 * 60_000, 35_000),
];

/// Minutes of the night, 19:31 to 00:45.
const NIGHT_MINUTES: f64 = 314.0;

/// Minutes into the night, and viewers, up to the crash at 23:57:30: the published points and plausible ones between.
const BEFORE_CRASH: [Knot; 17] = [
    (0.0, 0.0),
    (10.0, 1_400.0),
    (29.0, 4_800.0),
    (59.0, 10_200.0),
    (89.0, 15_800.0),
    (119.0, 22_000.0),
    (149.0, 31_000.0),
    (179.0, 41_000.0),
    (199.0, 50_000.0),
    (209.0, 60_000.0),
    (229.0, 74_500.0),
    (239.0, 79_800.0),
    (244.0, 81_000.0),
    (249.0, 79_700.0),
    (254.0, 78_800.0),
    (259.0, 78_100.0),
    (266.5, 76_500.0),
];

/// Second and level of the night from three minutes after the crash to the end.
const AFTER_CRASH: [Knot; 7] = [
    (269.5, 27_500.0),
    (280.0, 31_000.0),
    (290.0, 34_000.0),
    (297.0, 35_000.0),
    (303.0, 34_000.0),
    (310.0, 30_500.0),
    (314.0, 27_000.0),
];

/// 22:50:20, when the account with 22,000 followers passes the night on: the published growth is steepest just after.
const RELAY_AT_S: u32 = 199 * 60 + 20;

/// Level of the night's peak.
const PEAK: f64 = 81_000.0;

/// What is to happen in one broadcast.
#[derive(Debug)]
pub(crate) struct Script {
    /// Number of the broadcast.
    pub(crate) broadcast: u32,
    /// When it begins.
    pub(crate) start: Ms,
    /// How long it lasts.
    pub(crate) seconds: u32,
    /// Second and level, from 0 to the crash, or to the end where none is.
    pub(crate) before: Vec<Knot>,
    /// Second and level from some minutes after the crash to the end; empty where none is.
    pub(crate) after: Vec<Knot>,
    /// Mean stays against those of the night.
    pub(crate) stretch: f64,
    /// Retweets, the relay's not among them.
    pub(crate) retweets: u32,
    /// Joins that a retweet with one follower brings directly, on average.
    pub(crate) gain: f64,
    /// Second of the retweet of the account with 22,000 followers, and its gain.
    pub(crate) relay: Option<(u32, f64)>,
}

impl Script {
    /// The script of broadcast number `broadcast`, from 0.
    pub(crate) fn new(options: &NightOptions, broadcast: u32) -> Script {
        let share = 1.0 / libm::pow(f64::from(broadcast) + 1.0, options.zipf);
        let size = options.scale * share;
        let mut dice = Dice::new(options.seed, broadcast, Concern::Script);
        let (start, seconds, before, after) = if broadcast == 0 {
            let seconds_of = |knots: &[Knot]| knots.iter().map(|&(at, level)| (at * 60.0, level)).collect();
            (options.start, NIGHT_MINUTES * 60.0, seconds_of(&BEFORE_CRASH), seconds_of(&AFTER_CRASH))
        } else {
            let start = options.start + dice.below(options.spread_ms.unsigned_abs()).cast_signed();
            let (seconds, before, after) = draw_show(&mut dice);
            (start, seconds, before, after)
        };
        let sized = |knots: Vec<Knot>| knots.into_iter().map(|(at, level)| (at, level * size)).collect();
        let stretch = seconds / (NIGHT_MINUTES * 60.0);
        let relay = (broadcast == 0 && options.retweets > 0).then_some((RELAY_AT_S, size));
        let wanted = f64::from(options.retweets - u32::from(relay.is_some()));
        let retweets = if broadcast == 0 { wanted } else { libm::ceil(wanted * libm::sqrt(share) * stretch) };
        Script {
            broadcast,
            start,
            seconds: whole(seconds),
            before: sized(before),
            after: sized(after),
            stretch,
            retweets: whole(retweets),
            // However many they are, together they bring what 299 would bring to the night, by its size and length.
            gain: 299.0 * size * stretch / retweets.max(1.0),
            relay,
        }
    }

    /// Second of the crash.
    pub(crate) fn crash(&self) -> Option<u32> {
        self.before.last().filter(|_| !self.after.is_empty()).map(|knot| whole(knot.0))
    }

    /// The audience that is aimed at, at each whole second from the first to the last, before its fall at the crash is
    /// drawn.
    pub(crate) fn target(&self) -> Vec<f64> {
        levels(&[self.before.as_slice(), &self.after].concat())
    }
}

/// Seconds and knots, in the night's viewers, of a show that never was: it fills up, has its best moment, and loses
/// some of its audience; one in ten breaks down on the way.
fn draw_show(dice: &mut Dice) -> (f64, Vec<Knot>, Vec<Knot>) {
    let minutes = libm::exp(libm::log(75.0) + 0.6 * dice.normal()).clamp(15.0, 300.0);
    let seconds = libm::floor(minutes * 60.0);
    let at = |share: f64| libm::floor(seconds * share);
    let peak_at = 0.45 + 0.35 * dice.unit();
    let (early, middle, last) = (0.2 + 0.2 * dice.unit(), 0.55 + 0.3 * dice.unit(), 0.35 + 0.4 * dice.unit());
    let crash = dice.chance(0.1);
    let mut before =
        vec![(0.0, 0.0), (at(0.08), early * PEAK), (at(peak_at * 0.6), middle * PEAK), (at(peak_at), PEAK)];
    if !crash {
        before.push((seconds, last * PEAK));
        return (seconds, before, Vec::new());
    }
    before.push((at(0.86), 0.9 * PEAK));
    (seconds, before, vec![(at(0.93), 0.4 * PEAK), (seconds, last.min(0.5) * PEAK)])
}

/// `broadcast_id` of broadcast number `broadcast`, from 0: [`NIGHT_ID`], then "nuit-debout-2" and so on.
pub fn broadcast_id(broadcast: u32) -> String {
    match broadcast {
        0 => NIGHT_ID.to_owned(),
        _ => format!("{NIGHT_ID}-{}", u64::from(broadcast) + 1),
    }
}

/// Appends [`broadcast_id`].
pub(crate) fn write_broadcast_id(out: &mut Vec<u8>, broadcast: u32) {
    out.extend_from_slice(NIGHT_ID.as_bytes());
    if broadcast > 0 {
        out.push(b'-');
        write_u64(out, u64::from(broadcast) + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_aims_at_what_was_published() {
        let script = Script::new(&NightOptions::default(), 0);
        let target = script.target();
        assert_eq!(target.len(), 314 * 60 + 1);
        for (at, viewers) in PUBLISHED {
            let level = target[usize::try_from(at / 1_000).expect("small")];
            assert!((level - f64::from(viewers)).abs() < 1e-6, "{level} at {at}");
        }
        let peak = target.iter().copied().fold(0.0, f64::max);
        assert!((peak - PEAK).abs() < 1e-6);
        assert_eq!(script.crash(), Some(15_990));
    }

    #[test]
    fn drawn_shows_are_shows() {
        let options = NightOptions { broadcasts: 200, ..NightOptions::default() };
        for broadcast in 1..200 {
            let script = Script::new(&options, broadcast);
            assert!((900..=18_000).contains(&script.seconds));
            assert!((0..options.spread_ms).contains(&(script.start - options.start)));
            let knots = [script.before.as_slice(), &script.after].concat();
            assert!(knots.windows(2).all(|pair| pair[1].0 >= pair[0].0 + 60.0), "{knots:?}");
            assert_eq!(knots.last().map(|knot| whole(knot.0)), Some(script.seconds));
            assert!(script.retweets >= 1);
        }
        assert_eq!(broadcast_id(0), "nuit-debout");
        let mut written = Vec::new();
        write_broadcast_id(&mut written, 1);
        assert_eq!(written, broadcast_id(1).as_bytes());
    }
}
