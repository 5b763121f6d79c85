//! The order in which events are settled: (broadcast, viewer, session, ts, kind). Pseudonyms are as good as random, so
//! where an event will stand can be foretold from the sizes of the broadcasts: one pass brings each event near its
//! place, and what is left to sort fits the processor's cache.

use audience::Event;

/// Shards of viewers: the unit of parallelism. A power of two; many more than threads, so that uneven shards even out.
pub(super) const SHARDS: usize = 16;

/// Events that are sorted at once, about: some 50 KiB.
const PIECE: usize = 1 << 10;

/// The forecast looks at one event of so many.
const SAMPLE: usize = 1 << 4;

/// Sorts the events of one shard. `spare` is memory for as many events; it is given back as it is. More than
/// `spare_max` are sorted where they are, which takes longer.
pub(super) fn sort(events: &mut Vec<Event>, spare: &mut Vec<Event>, spare_max: usize) {
    if events.len() < 2 * PIECE || events.len() > spare_max {
        events.sort_unstable();
        return;
    }
    let forecast = Forecast::of(events);
    let mut next = vec![0; forecast.pieces];
    for event in &*events {
        next[forecast.piece_of(event)] += 1;
    }
    let mut start = 0;
    for place in &mut next {
        start += std::mem::replace(place, start);
    }
    spare.resize(events.len(), events[0]);
    for event in &*events {
        let place = &mut next[forecast.piece_of(event)];
        spare[*place] = *event;
        *place += 1;
    }
    let mut start = 0;
    for end in next {
        spare[start..end].sort_unstable();
        start = end;
    }
    std::mem::swap(events, spare);
}

/// Where events will stand, nearly.
struct Forecast {
    /// By number of the broadcast: events of the sample before it, and its own. Broadcasts beyond were not in the
    /// sample.
    broadcasts: Vec<(u64, u64)>,
    /// Events of the sample.
    sample: u64,
    pieces: usize,
}

impl Forecast {
    fn of(events: &[Event]) -> Forecast {
        let mut broadcasts: Vec<(u64, u64)> = Vec::new();
        for event in events.iter().step_by(SAMPLE) {
            let broadcast = event.broadcast as usize;
            if broadcast >= broadcasts.len() {
                broadcasts.resize(broadcast + 1, (0, 0));
            }
            broadcasts[broadcast].1 += 1;
        }
        let mut sample = 0;
        for (first, count) in &mut broadcasts {
            *first = sample;
            sample += *count;
        }
        Forecast { broadcasts, sample, pieces: piece_at(sample) + 1 }
    }

    /// The piece that an event belongs to: it never falls as events ascend.
    fn piece_of(&self, event: &Event) -> usize {
        let Some((first, count)) = self.broadcasts.get(event.broadcast as usize) else { return piece_at(self.sample) };
        // The topmost bits are those of the shard. Fewer than 2^32 events lie in memory.
        let viewer = u64::try_from((event.viewer << SHARDS.ilog2()) >> 96).unwrap_or(u64::MAX);
        piece_at(first + ((count * viewer) >> 32))
    }
}

fn piece_at(place_in_sample: u64) -> usize {
    usize::try_from(place_in_sample).unwrap_or(usize::MAX) / (PIECE / SAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use audience::{Kind, NO_DETAIL};

    #[test]
    fn it_is_the_order_of_events() {
        let mut state = 1u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        // Broadcasts of very different sizes, viewers spread and alone, in one shard.
        let mut spare = Vec::new();
        for (events, viewers) in [(0, 1), (1, 1), (5_000, 1), (5_000, 3), (20_000, 1 << 20)] {
            let mut many: Vec<Event> = (0..events)
                .map(|_| {
                    let broadcast = (random() % 9) * (random() % 9) * (random() % 9);
                    let viewer = u128::from(random() % viewers) << 100 | 7 << 124 | u128::from(random() % 2);
                    let kind = Kind::ALL[(random() % 5) as usize];
                    let at = 946_684_800_000 + (random() % 5).cast_signed();
                    Event::new(kind, broadcast as u32, viewer, u128::from(random() % 3), at, NO_DETAIL)
                })
                .collect();
            let mut expected = many.clone();
            expected.sort();
            let mut again = many.clone();
            sort(&mut many, &mut spare, usize::MAX);
            assert_eq!(many, expected, "{events} events of {viewers} viewers");
            sort(&mut again, &mut Vec::new(), 4_999);
            assert_eq!(again, expected, "{events} events of {viewers} viewers, where they are");
        }
    }
}
