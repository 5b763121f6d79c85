//! Whether a broadcast is on air, as the watermark passes: its silences, which of its ends apply, and where one of them
//! parts two airings. All of it by instants of effect, and the same however many rounds there are.

use super::END_OF_DATA;
use super::round::{Boundary, Closing, Directive, Heard, LateSigns};
use super::state::StageState;
use crate::Rules;
use audience::Ms;
use std::cmp::Reverse;

/// How far a broadcast's airings have come, without their curves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Air {
    /// Unless it has been silent for `broadcast_idle` since.
    last_sign: Option<Ms>,
    /// The greatest `ts` of its applied ends.
    ended: Ms,
    off: Option<OffAir>,
}

/// A broadcast that is off air.
#[derive(Clone, Copy, Debug)]
struct OffAir {
    /// When the end took effect.
    since: Ms,
    /// Whether that end has parted two airings, which it does once.
    has_parted: bool,
}

/// What takes effect at an instant, in the order of one ms: the end is its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// The first sign of a minute, and when its last one came.
    Signs(Ms),
    Late(LateSigns),
    Join,
    /// Its `ts`. Of several at one instant the greatest counts; the others find the broadcast off air.
    End(Reverse<Ms>),
}

impl Default for Air {
    fn default() -> Air {
        Air { last_sign: None, ended: Ms::MIN, off: None }
    }
}

impl Air {
    /// Off air, the airing that the end parted being over, with its last sign at `last_at`.
    pub(crate) fn off(last_at: Ms) -> Air {
        let off = Some(OffAir { since: last_at, has_parted: true });
        Air { last_sign: Some(last_at), off, ..Air::default() }
    }

    /// Goes from the watermark `before` to `watermark`, over what was heard: gives what concerns all lanes. `joins` are
    /// the instants of those that came on time, in any order; where [`Air::needs_joins`] says no, they may be missing.
    pub(crate) fn pass(&mut self, rules: &Rules, heard: &Heard, joins: &[Ms], before: Ms, watermark: Ms) -> Directive {
        let signs = heard.signs.signs().map(|signs| (signs.first, Point::Signs(signs.last)));
        let late = heard.late_signs.iter().map(|(at, late)| (*at, Point::Late(*late)));
        let joins = joins.iter().map(|at| (*at, Point::Join));
        let ends = heard.ends.iter().map(|(at, ts)| (*at, Point::End(Reverse(*ts))));
        let mut points: Vec<(Ms, Point)> = signs.chain(late).chain(joins).chain(ends).collect();
        points.sort_unstable();
        let mut directive = Directive::new(self.ended);
        for (at, point) in points {
            self.go_on(rules, at, &mut directive);
            match point {
                Point::Signs(last) => self.last_sign = self.last_sign.max(Some(last)),
                // A late join from before an applied end is no sign: it changes nothing but the number of late events.
                Point::Late(late) => {
                    if late.latest > self.ended {
                        self.last_sign = self.last_sign.max(Some(at));
                    }
                    if late.latest_join > self.ended {
                        self.join(at, &mut directive);
                    }
                }
                Point::Join => self.join(at, &mut directive),
                Point::End(Reverse(ts)) => self.end(at, ts, &mut directive),
            }
        }
        if watermark < END_OF_DATA {
            self.go_on(rules, watermark.saturating_sub(1), &mut directive);
        } else {
            self.end_data(rules, before, &mut directive);
        }
        directive.off_air.extend(self.off.map(|off| (off.since, Ms::MAX)));
        directive
    }

    /// Whether the joins of a round matter beyond being signs.
    pub(crate) fn needs_joins(&self, heard: &Heard) -> bool {
        self.off.is_some() || !heard.ends.is_empty()
    }

    /// Time goes on to `at`: all that comes before whatever else is of that ms.
    fn go_on(&mut self, rules: &Rules, at: Ms, directive: &mut Directive) {
        while let Some(next) = self.next(rules).filter(|next| *next <= at) {
            if self.silent_at(rules) == Some(next) {
                // What comes after a silence is a new beginning, on air; so it is where an end would part, too.
                directive.push(Boundary { at: next, what: Closing::Silence });
                directive.off_air.extend(self.off.take().map(|off| (off.since, next)));
                self.last_sign = None;
            } else if let Some(off) = &mut self.off {
                off.has_parted = true;
                directive.push(Boundary { at: next, what: Closing::Part });
            }
        }
    }

    /// When something comes of it that nothing comes, if nothing does.
    pub(crate) fn next(&self, rules: &Rules) -> Option<Ms> {
        let parts = self.off.filter(|off| !off.has_parted).and_then(|off| Some(off.since + rules.end_idle?));
        self.silent_at(rules).into_iter().chain(parts).min()
    }

    fn silent_at(&self, rules: &Rules) -> Option<Ms> {
        self.last_sign.map(|last| last + rules.broadcast_idle)
    }

    fn join(&mut self, at: Ms, directive: &mut Directive) {
        let Some(off) = self.off.take() else { return };
        directive.off_air.push((off.since, at));
        let part = Boundary { at, what: Closing::Part };
        if off.has_parted && directive.boundaries.last() != Some(&part) {
            // The next show, whatever lay between.
            directive.push(part);
        }
    }

    fn end(&mut self, at: Ms, ts: Ms, directive: &mut Directive) {
        if self.off.is_none() {
            self.off = Some(OffAir { since: at, has_parted: false });
            self.ended = self.ended.max(ts);
            directive.push(Boundary { at, what: Closing::End(ts) });
        }
    }

    /// The end of the data passes no instant: what nobody was silent for until then is no silence.
    fn end_data(&mut self, rules: &Rules, before: Ms, directive: &mut Directive) {
        self.go_on(rules, self.last_sign.map_or(before, |last| last.max(before)), directive);
        if let Some(last) = self.last_sign.take() {
            directive.push(Boundary { at: last.max(before), what: Closing::Data { is_later: last < before } });
        }
        directive.off_air.extend(self.off.take().map(|off| (off.since, Ms::MAX)));
    }

    /// What lies before `frontier` is settled, and comes no more.
    pub(crate) fn settle(&mut self, frontier: Ms) {
        if self.ended < frontier {
            // What came before that end comes before the frontier.
            self.ended = Ms::MIN;
        }
    }

    /// Whether nothing is known of it.
    pub(crate) fn is_blank(&self) -> bool {
        self.last_sign.is_none() && self.ended == Ms::MIN && self.off.is_none()
    }

    pub(crate) fn state(&self, broadcast: u32) -> StageState {
        StageState {
            broadcast,
            last_sign: self.last_sign,
            ended: Some(self.ended).filter(|ended| *ended > Ms::MIN),
            off_air_since: self.off.map(|off| off.since),
            has_parted: self.off.is_some_and(|off| off.has_parted),
        }
    }

    pub(crate) fn restore(state: &StageState) -> Air {
        let off = state.off_air_since.map(|since| OffAir { since, has_parted: state.has_parted });
        Air { last_sign: state.last_sign, ended: state.ended.unwrap_or(Ms::MIN), off }
    }
}
