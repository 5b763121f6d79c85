//! What is held: accepted events that the watermark has not passed. They are only appended, by the second in which they
//! take effect, and put in order when they are due.

use audience::{Details, Event, Kind, Ms, NO_DETAIL};
use std::collections::BTreeMap;

/// Events of one second of effect. Only retweets keep their strings.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldEvents {
    pub(crate) events: Vec<Event>,
    pub(crate) details: Details,
}

impl HeldEvents {
    fn push(&mut self, event: Event, details: &Details) {
        self.events.push(kept(event, details, &mut self.details));
    }
}

/// The event with its strings in `to`, where the live curve needs them.
pub(crate) fn kept(mut event: Event, from: &Details, to: &mut Details) -> Event {
    if event.kind() == Kind::Retweet {
        return to.adopt(event, from);
    }
    event.detail = NO_DETAIL;
    event
}

/// The held events of a lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Events on time, by second.
    seconds: BTreeMap<i64, HeldEvents>,
    /// Late events, each with its instant of effect.
    late: Vec<(Ms, Event)>,
    late_details: Details,
    len: usize,
}

impl Held {
    /// Holds an event until the watermark has passed its `ts`, or the instant `late_at` after it.
    pub(crate) fn push(&mut self, event: Event, late_at: Option<Ms>, details: &Details) {
        self.len += 1;
        if let Some(at) = late_at.filter(|at| *at > event.ts()) {
            let event = kept(event, details, &mut self.late_details);
            self.late.push((at, event));
            return;
        }
        self.seconds.entry(event.ts().div_euclid(1_000)).or_default().push(event, details);
    }

    /// Takes out what takes effect before `watermark`: hands each event, with its instant of effect and where its
    /// strings are, to `due`.
    pub(crate) fn take(&mut self, watermark: Ms, mut due: impl FnMut(Ms, Event, &Details)) {
        while let Some(entry) = self.seconds.first_entry().filter(|entry| *entry.key() * 1_000 < watermark) {
            let (second, batch) = entry.remove_entry();
            let mut rest = HeldEvents::default();
            for event in batch.events {
                if event.ts() < watermark {
                    self.len -= 1;
                    due(event.ts(), event, &batch.details);
                } else {
                    rest.push(event, &batch.details);
                }
            }
            if !rest.events.is_empty() {
                // It is the second that holds the watermark: all others lie after it.
                self.seconds.insert(second, rest);
                break;
            }
        }
        let mut rest = Held::default();
        for (at, event) in std::mem::take(&mut self.late) {
            if at < watermark {
                self.len -= 1;
                due(at, event, &self.late_details);
            } else {
                rest.push(event, Some(at), &self.late_details);
            }
        }
        (self.late, self.late_details) = (rest.late, rest.late_details);
    }

    /// Late events held, in any order.
    pub(super) fn late(&self) -> impl Iterator<Item = &Event> {
        self.late.iter().map(|(_, event)| event)
    }

    /// Every held event: its late instant of effect, if it is late, and where its strings are.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Option<Ms>, Event, &Details)> {
        let on_time =
            self.seconds.values().flat_map(|batch| batch.events.iter().map(|event| (None, *event, &batch.details)));
        on_time.chain(self.late.iter().map(|(at, event)| (Some(*at), *event, &self.late_details)))
    }

    /// Events held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let on_time: usize =
            self.seconds.values().map(|batch| batch.events.capacity() * size_of::<Event>() + batch.details.len()).sum();
        on_time + self.late.capacity() * size_of::<(Ms, Event)>() + self.late_details.len()
    }
}
