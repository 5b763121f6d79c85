//! A merge of logs: the events of several files of the log as one file, in the log's order, without those that are to
//! go. It holds a few thousand events of each file at a time.

use super::events::Raw;
use super::{LoggedEvent, Passport, Table, TableError, TableFile, TableRows, TableWriter};
use audience::{Details, Names};
use parquet::file::reader::ChunkReader;
use std::cmp::Ordering;
use std::io::Write;
use std::sync::Arc;

/// Events that go into the new file at a time.
const BATCH: usize = 4 << 10;

/// Writes the events of `files` for which `keep` (given the broadcast's id) holds to one file. `create` is asked for
/// its output when there is a first event. Gives the output, if any, and how many events went into it. `go_on` is asked
/// now and then; where it does not hold, there is no file.
///
/// # Errors
/// As [`TableFile::open`], [`TableWriter::push`]; or whatever `create` refuses.
pub fn merge_logs<R: ChunkReader + 'static, W: Write + Send, E: From<TableError>>(
    files: Vec<TableFile<R>>,
    passport: &Passport,
    create: impl FnOnce() -> Result<W, E>,
    keep: impl Fn(&str, &LoggedEvent) -> bool,
    go_on: impl Fn() -> bool,
) -> Result<Option<(W, u64)>, E> {
    let (mut broadcasts, mut sources) = (Names::default(), Names::default());
    let mut pieces = Vec::with_capacity(files.len());
    for file in files {
        pieces.push(Piece { batches: file.logged()?, rows: Vec::new(), details: Details::new(), at: 0 });
    }
    for piece in &mut pieces {
        piece.refill(&mut broadcasts, &mut sources)?;
    }
    let mut create = Some(create);
    let mut writer: Option<TableWriter<W>> = None;
    let (mut batch, mut strings, mut count) = (Vec::with_capacity(BATCH), Details::new(), 0);
    loop {
        let least = least(&pieces, broadcasts.list());
        if batch.len() == BATCH || least.is_none() && !batch.is_empty() {
            if !go_on() {
                return Ok(None);
            }
            let writer = match (&mut writer, create.take()) {
                (Some(writer), _) => writer,
                (none, Some(create)) => none.insert(TableWriter::new(Table::Events, passport, create()?)?),
                (None, None) => return Err(TableError::bug(Table::Events, "a merge began twice").into()),
            };
            writer.push(TableRows::Events(&batch, &strings, sources.list()), broadcasts.list())?;
            count += batch.len() as u64;
            batch.clear();
            strings.clear();
        }
        let Some(least) = least else { break };
        let piece = &mut pieces[least];
        let row = piece.rows[piece.at];
        if keep(&broadcasts.list()[row.event.broadcast as usize], &row) {
            batch.push(LoggedEvent { event: strings.adopt(row.event, &piece.details), ..row });
        }
        piece.at += 1;
        if piece.at == piece.rows.len() {
            piece.refill(&mut broadcasts, &mut sources)?;
        }
    }
    match writer {
        Some(writer) => Ok(Some((writer.finish()?, count))),
        None => Ok(None),
    }
}

/// One file as it is read.
struct Piece<B> {
    batches: B,
    rows: Vec<LoggedEvent>,
    details: Details,
    at: usize,
}

impl<B: Iterator<Item = Result<Raw, TableError>>> Piece<B> {
    /// The next rows, numbered as all are.
    fn refill(&mut self, broadcasts: &mut Names, sources: &mut Names) -> Result<(), TableError> {
        self.rows.clear();
        self.at = 0;
        while self.rows.is_empty() {
            let Some(raw) = self.batches.next() else { return Ok(()) };
            let (mut rows, details, ids, topics) = raw?;
            let ids: Vec<u32> = ids.iter().map(|id| broadcasts.number(id)).collect();
            let topics: Vec<u32> = topics.iter().map(|topic| sources.number(topic)).collect();
            for row in &mut rows {
                row.event.broadcast = ids[row.event.broadcast as usize];
                row.source = topics[row.source as usize];
            }
            (self.rows, self.details) = (rows, details);
        }
        Ok(())
    }
}

/// The piece whose next event comes first in the log's order; `None` at the end.
fn least<B>(pieces: &[Piece<B>], ids: &[Arc<str>]) -> Option<usize> {
    let heads = pieces.iter().enumerate().filter_map(|(place, piece)| Some((place, piece.rows.get(piece.at)?)));
    heads.min_by(|(_, a), (_, b)| order(a, b, ids)).map(|(place, _)| place)
}

fn order(a: &LoggedEvent, b: &LoggedEvent, ids: &[Arc<str>]) -> Ordering {
    let (one, other) = (a.event.broadcast, b.event.broadcast);
    let by_id = if one == other { Ordering::Equal } else { ids[one as usize].cmp(&ids[other as usize]) };
    let who =
        |row: &LoggedEvent| if row.by_viewer() { (true, row.event.viewer, row.event.session) } else { (false, 0, 0) };
    by_id.then_with(|| who(a).cmp(&who(b))).then_with(|| a.event.when().cmp(&b.event.when()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::super::{sort_events, write_rows};
    use super::*;
    use audience::Kind;
    use bytes::Bytes;

    /// The events of a file as they lie in it, in words.
    fn lying(file: &Bytes) -> Vec<String> {
        let open = TableFile::open(Table::Events, "merged.parquet", file.clone()).unwrap();
        let mut lying = Vec::new();
        for raw in open.logged().unwrap() {
            let (rows, details, ids, topics) = raw.unwrap();
            for row in rows {
                let id = &ids[row.event.broadcast as usize];
                let said = details.get(row.event.detail);
                let who = (row.event.viewer, row.event.session, row.event.ts(), row.event.kind());
                lying.push(format!("{id} {who:?} {said:?} {} {}", topics[row.source as usize], row.offset));
            }
        }
        lying
    }

    #[test]
    fn merged_logs_are_one_sorted_log_of_what_is_kept() {
        let mut details = Details::new();
        let mut rows = Vec::new();
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for number in 0..20_000 {
            let (broadcast, viewer) = (u32::try_from(random(5)).unwrap(), u128::from(random(99)));
            let at = NOON + random(10_000).cast_signed();
            let row = match random(20) {
                0 => tweet(&mut details, broadcast, &format!("t{}", random(9)), at),
                1 => end(broadcast, at),
                kind => event(
                    [Kind::Join, Kind::Heartbeat, Kind::Leave][usize::try_from(kind % 3).unwrap()],
                    broadcast,
                    viewer,
                    at,
                ),
            };
            rows.push(LoggedEvent { offset: number, source: u32::try_from(number % 2).unwrap(), ..row });
        }
        // The same topics in another order: numbers are each file's own.
        let topics: [Arc<str>; 2] = ["a".into(), "b".into()];
        let turned: [Arc<str>; 2] = ["b".into(), "a".into()];
        let files: Vec<Bytes> = (0..5_usize)
            .map(|place| {
                let mut part: Vec<LoggedEvent> = rows.iter().skip(place).step_by(5).copied().collect();
                if place == 2 {
                    part.iter_mut().for_each(|row| row.source = 1 - row.source);
                }
                sort_events(&mut part, &names());
                let sources = if place == 2 { &turned } else { &topics };
                let rows = TableRows::Events(&part, &details, sources);
                Bytes::from(write_rows(rows, &names(), &Passport::default(), Vec::new()).unwrap())
            })
            .collect();
        let opened = || files.iter().map(|file| TableFile::open(Table::Events, "part.parquet", file.clone()).unwrap());
        let merge = |keep: fn(&str, &LoggedEvent) -> bool| {
            merge_logs::<_, _, TableError>(opened().collect(), &Passport::default(), || Ok(Vec::new()), keep, || true)
                .unwrap()
        };
        let (merged, count) = merge(|_, _| true).unwrap();
        let merged = Bytes::from(merged);
        sort_events(&mut rows, &names());
        let whole = Bytes::from(
            write_rows(TableRows::Events(&rows, &details, &topics), &names(), &Passport::default(), Vec::new())
                .unwrap(),
        );
        assert_eq!(count, 20_000);
        let sorted = |mut lying: Vec<String>| {
            lying.sort();
            lying
        };
        let keys = |lying: &[String]| {
            lying.iter().map(|row| row.split(" Some").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(lying(&merged)), sorted(lying(&whole)));
        let by_id = |lying: &[String]| {
            keys(lying).iter().map(|row| row.split(" (").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(by_id(&lying(&merged)), by_id(&lying(&whole)));

        let (kept, count) = merge(|id, row| id != "a" && row.event.ts() >= NOON + 5_000).unwrap();
        let expected: Vec<String> = lying(&merged)
            .into_iter()
            .filter(|row| {
                !row.starts_with("a ") && row.split(", ").nth(2).unwrap().parse::<i64>().unwrap() >= NOON + 5_000
            })
            .collect();
        assert_eq!((lying(&Bytes::from(kept)), count), (expected.clone(), expected.len() as u64));
        assert!(merge(|_, _| false).is_none());
    }
}
