//! Offsets: which records of each partition stand in the tables. Each that the commits have read must stand there once,
//! and in the name of the commit that read it.

use super::history::History;
use problem::Problem;
use std::collections::BTreeMap;

/// What was seen of all partitions.
#[derive(Debug)]
pub(super) struct OffsetsSeen<'a> {
    history: &'a History,
    seen: BTreeMap<(u32, i32), Seen>,
}

/// The place of one row in the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPlace<'a> {
    /// Its table.
    pub(super) table: &'static str,
    /// Number of the source.
    pub(super) source: u32,
    /// Name of the source.
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The commit that took it in, where its table says so.
    pub(super) commit: Option<i64>,
}

impl<'a> OffsetsSeen<'a> {
    /// Nothing was seen yet of what the commits of `history` have read.
    pub(super) fn of(history: &'a History) -> OffsetsSeen<'a> {
        OffsetsSeen { history, seen: BTreeMap::new() }
    }

    /// Takes note of one row.
    pub(super) fn see(&mut self, place: RowPlace<'_>) -> Result<(), Problem> {
        let RowPlace { table, source, topic, partition, offset, commit } = place;
        let wrong = |what: String| {
            Problem::data(format!("{table}: offset {offset} of partition {partition} of {topic} {what}."))
        };
        let Some(read) = self.history.partitions.get(&(source, partition)) else {
            return Err(wrong("is there, but no commit read anything of that partition".to_owned()));
        };
        let Some(by) = read.commit_of(offset) else {
            return Err(wrong("is there, but no commit read it".to_owned()));
        };
        if let Some(said) = commit.filter(|said| *said != by) {
            return Err(wrong(format!("was read by commit {by}, but its row says {said}")));
        }
        let seen = self.seen.entry((source, partition)).or_default();
        if !seen.see(offset) {
            return Err(wrong("stands twice in the tables".to_owned()));
        }
        Ok(())
    }

    /// All rows were seen: none may be missing.
    pub(super) fn complete(&self) -> Result<(), Problem> {
        for (key, read) in &self.history.partitions {
            let rows = self.seen.get(key).map_or(0, |seen| seen.rows);
            if rows != read.records {
                return Err(Problem::data(format!(
                    "Partition {} of {}: the commits read {} records, events and rejected hold {rows} of them.",
                    key.1, read.topic, read.records
                )));
            }
        }
        Ok(())
    }
}

/// Offsets of one partition, a bit each in pages that are only there where something was seen.
#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    pages: BTreeMap<i64, Page>,
}

#[derive(Debug)]
enum Page {
    Part { seen: usize, bits: Box<[u64; WORDS]> },
    Full,
}

const WORDS: usize = 1 << 10;
const BITS: usize = WORDS * 64;
/// `BITS` as a number of offsets.
const OFFSETS: i64 = 1 << 16;
const _: () = assert!(1 << 16 == BITS, "a page has a bit for each of its offsets");

impl Seen {
    /// False where the offset was seen before.
    fn see(&mut self, offset: i64) -> bool {
        let at = usize::try_from(offset.rem_euclid(OFFSETS)).unwrap_or(0);
        let page = self
            .pages
            .entry(offset.div_euclid(OFFSETS))
            .or_insert_with(|| Page::Part { seen: 0, bits: Box::new([0; WORDS]) });
        let Page::Part { seen, bits } = page else { return false };
        let (word, bit) = (&mut bits[at / 64], 1 << (at % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        *seen += 1;
        self.rows += 1;
        if *seen == BITS {
            *page = Page::Full;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_seen_once() {
        let mut seen = Seen::default();
        let pages = 3 * OFFSETS;
        assert!((0..pages).rev().all(|offset| seen.see(offset)));
        assert!((0..pages).all(|offset| !seen.see(offset)));
        assert_eq!(seen.rows, pages.unsigned_abs());
        // Far away costs a page and no more.
        assert!(seen.see(i64::MAX) && !seen.see(i64::MAX));
        assert_eq!(seen.pages.len(), 4);
    }
}
