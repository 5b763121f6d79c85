//! A merge gives the events of many sorted pieces, runs on the disk and slices in memory, as one sorted sequence: a
//! tree of losers, one comparison a level and no allocation an event.

use super::run::{RunReader, SpillError};
use audience::{Details, Event};

/// One sorted piece.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A section of a run.
    Run(RunReader),
    /// Events in memory, sorted, and the strings that they point to: for tests, of which some mix the two.
    #[cfg_attr(not(test), expect(dead_code, reason = "what is in memory is settled without a merge"))]
    Slice(&'a [Event], &'a Details),
}

impl Piece<'_> {
    /// The next event; its strings stay where they are until [`Piece::settle`].
    fn advance(&mut self) -> Result<Option<Event>, SpillError> {
        match self {
            Piece::Run(reader) => reader.advance(),
            Piece::Slice(events, _) => {
                let Some((first, rest)) = events.split_first() else {
                    return Ok(None);
                };
                *events = rest;
                Ok(Some(*first))
            }
        }
    }

    /// The event that `advance` gave last, its strings added to `into`.
    fn settle(&self, mut event: Event, into: &mut Details) -> Result<Event, SpillError> {
        match self {
            Piece::Run(reader) => event.detail = reader.take_detail(into)?,
            Piece::Slice(_, details) => event = into.adopt(event, details),
        }
        Ok(event)
    }
}

/// The merge of sorted pieces. Equal events come in the order of their pieces.
#[derive(Debug)]
pub(crate) struct Merge<'a> {
    pieces: Vec<Piece<'a>>,
    /// The next event of each piece.
    heads: Vec<Option<Event>>,
    /// At each inner node, from 1, the piece that lost there; at 0 the piece that won all.
    losers: Vec<Player>,
}

/// A piece in the tree. Most games are decided by `rank` alone, without a look at the events.
#[derive(Clone, Copy, Debug)]
struct Player {
    /// The first 64 bits of the order of its head: the broadcast, and the upper bits of the viewer; the greatest at its
    /// end.
    rank: u64,
    piece: usize,
}

impl Player {
    fn new(piece: usize, head: Option<&Event>) -> Player {
        let rank = head.map_or(u64::MAX, |event| {
            let viewer = u64::try_from(event.viewer >> 96).unwrap_or(u64::MAX);
            u64::from(event.broadcast) << 32 | viewer
        });
        Player { rank, piece }
    }
}

impl<'a> Merge<'a> {
    /// Begins a merge.
    ///
    /// # Errors
    /// [`SpillError`]: the first events cannot be read.
    pub(crate) fn new(mut pieces: Vec<Piece<'a>>) -> Result<Merge<'a>, SpillError> {
        let heads = pieces.iter_mut().map(Piece::advance).collect::<Result<Vec<_>, _>>()?;
        let losers = vec![Player { rank: 0, piece: 0 }; pieces.len()];
        let mut merge = Merge { losers, pieces, heads };
        merge.play_all();
        Ok(merge)
    }

    /// The next event, its strings added to `into`; `None` at the end.
    ///
    /// # Errors
    /// [`SpillError`]; the merge is then of no more use.
    pub(crate) fn next(&mut self, into: &mut Details) -> Result<Option<Event>, SpillError> {
        let Some(&Player { piece: winner, .. }) = self.losers.first() else {
            return Ok(None);
        };
        let Some(event) = self.heads[winner] else {
            return Ok(None);
        };
        let event = self.pieces[winner].settle(event, into)?;
        self.heads[winner] = self.pieces[winner].advance()?;
        self.replay(winner);
        Ok(Some(event))
    }

    fn play_all(&mut self) {
        let k = self.heads.len();
        let leaf = |node: usize| Player::new(node.saturating_sub(k), self.heads[node.saturating_sub(k)].as_ref());
        let mut winners: Vec<Player> = (0..2 * k).map(leaf).collect();
        for node in (1..k).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            (winners[node], self.losers[node]) = if self.beats(a, b) { (a, b) } else { (b, a) };
        }
        if k > 1 {
            self.losers[0] = winners[1];
        }
    }

    /// Plays again the games of `piece`, whose head is new, from its leaf to the top.
    fn replay(&mut self, piece: usize) {
        let mut winner = Player::new(piece, self.heads[piece].as_ref());
        let mut node = (self.heads.len() + piece) / 2;
        while node > 0 {
            let loser = self.losers[node];
            (winner, self.losers[node]) = if self.beats(loser, winner) { (loser, winner) } else { (winner, loser) };
            node /= 2;
        }
        self.losers[0] = winner;
    }

    #[inline]
    fn beats(&self, a: Player, b: Player) -> bool {
        if a.rank == b.rank { self.beats_by_events(a.piece, b.piece) } else { a.rank < b.rank }
    }

    #[cold]
    fn beats_by_events(&self, a: usize, b: usize) -> bool {
        match (&self.heads[a], &self.heads[b]) {
            (Some(x), Some(y)) => x.cmp(y).then(a.cmp(&b)).is_lt(),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::run::{
        Run, RunWriter,
        tests::{plain, random_events},
    };

    fn run(folder: &std::path::Path, events: &[Event], details: &Details) -> Run {
        let mut writer = RunWriter::create(folder).unwrap();
        for event in events {
            writer.push(event, details.get(event.detail)).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_merge_of_any_number_of_pieces_is_a_sort() {
        let dir = tempfile::tempdir().unwrap();
        for pieces in 0..12_usize {
            let (mut events, details) = random_events(u64::try_from(pieces).unwrap(), pieces * 97);
            let mut chunks: Vec<Vec<Event>> = vec![Vec::new(); pieces];
            for (at, event) in events.iter().enumerate() {
                // Pieces of very different lengths, some of them empty.
                chunks[(at * at + at / 3) % pieces].push(*event);
            }
            chunks.iter_mut().for_each(|chunk| chunk.sort());
            let runs: Vec<Run> = chunks.iter().map(|chunk| run(dir.path(), chunk, &details)).collect();
            let sorted = |at: usize| match at % 3 {
                0 => Piece::Slice(&chunks[at], &details),
                _ => Piece::Run(runs[at].section(0, 0)),
            };
            let mut merge = Merge::new((0..pieces).map(sorted).collect()).unwrap();
            let (mut merged, mut into) = (Vec::new(), Details::new());
            while let Some(event) = merge.next(&mut into).unwrap() {
                merged.push(plain(event, &into));
                if merged.len() % 50 == 0 {
                    // The caller may forget the strings of events that it has done with.
                    into.clear();
                }
            }
            assert_eq!(merge.next(&mut into).unwrap(), None);
            events.sort();
            let mut expected: Vec<_> = events.iter().map(|event| plain(*event, &details)).collect();
            assert!(merged.is_sorted_by(|a, b| a.0 <= b.0));
            expected.sort();
            merged.sort();
            assert_eq!(merged, expected);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "runs leave nothing behind");
    }

    #[test]
    fn equal_events_come_in_the_order_of_their_pieces() {
        let mut details = Details::new();
        let event = |via: &str, details: &mut Details| {
            let place = details.push(audience::Detail::Via(via));
            [Event::new(audience::Kind::Join, 1, 2, 3, 946_684_800_000, place)]
        };
        let [a, b, c] = ["a", "b", "c"].map(|via| event(via, &mut details));
        let pieces = [&a, &b, &c].map(|piece| Piece::Slice(piece, &details));
        let mut merge = Merge::new(pieces.into()).unwrap();
        let mut into = Details::new();
        let mut order = String::new();
        while let Some(event) = merge.next(&mut into).unwrap() {
            order += into.via(&event).unwrap();
        }
        assert_eq!(order, "abc");
    }
}
