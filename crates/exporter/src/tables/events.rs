//! The table `events`: the log. Every accepted event, pseudonymised, with its place in the input and the commit that
//! took it in.

use super::airings::maybe;
use super::columns::{
    Cells, instants, ints, maybe_ids, maybe_instants, maybe_ints, maybe_texts, numbered, small_ints, words,
};
use super::read::{TableBatch, TableFile};
use super::retweets::RetweetColumns;
use super::{Table, TableError};
use audience::time::{TS_END, TS_MIN};
use audience::{Detail, Details, Event, Kind, Ms, NO_DETAIL, Names};
use parquet::file::reader::ChunkReader;
use std::sync::Arc;

/// Value of [`LoggedEvent::late_at`] for an event that was on time.
pub const ON_TIME: Ms = Ms::MIN;

/// One event of the log, in 80 bytes. Its strings are in the `Details` that come with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// The event.
    pub event: Event,
    /// The watermark at which a late event took effect live, or [`ON_TIME`].
    pub late_at: Ms,
    /// Number of the commit that took it in, `>= 0`.
    pub commit: i64,
    /// Kafka offset.
    pub offset: i64,
    /// Number of the source (a Kafka topic) in the list that comes with the rows.
    pub source: u32,
    /// Kafka partition.
    pub partition: i32,
}

/// Rows as they lie in the file, with the names that they number.
pub(super) type Raw = (Vec<LoggedEvent>, Details, Vec<Arc<str>>, Vec<Arc<str>>);

/// The words of the column `type`, each at its kind's number.
const WORDS: [&str; 5] =
    [Kind::Join.word(), Kind::Heartbeat.word(), Kind::Leave.word(), Kind::Retweet.word(), Kind::End.word()];

const _: () = assert!(size_of::<LoggedEvent>() == 80, "runs of the log are sized by this");

impl LoggedEvent {
    /// Whether a viewer did it: whether it is no retweet and no end.
    pub(super) fn by_viewer(&self) -> bool {
        !matches!(self.event.kind(), Kind::Retweet | Kind::End)
    }
}

pub(super) fn encode<'a>(
    rows: &[LoggedEvent],
    details: &Details,
    names: &'a [Arc<str>],
    sources: &'a [Arc<str>],
) -> Result<Vec<Cells<'a>>, TableError> {
    let by_viewer = || rows.iter().map(LoggedEvent::by_viewer);
    let mut said = Vec::with_capacity(rows.len());
    for row in rows {
        let retweet = if row.event.kind() == Kind::Retweet { details.retweet(&row.event) } else { None };
        if retweet.is_none() && row.event.kind() == Kind::Retweet {
            let what = format!("the retweet at offset {} has lost its strings", row.offset);
            return Err(TableError::bug(Table::Events, what));
        }
        said.push(retweet);
    }
    let said = || said.iter();
    let via = |row: &LoggedEvent| if row.event.detail == NO_DETAIL { None } else { details.via(&row.event) };
    Ok(vec![
        numbered(rows.iter().map(|row| row.event.broadcast), names),
        maybe_ids(rows.iter().map(|row| row.event.viewer), by_viewer()),
        maybe_ids(rows.iter().map(|row| row.event.session), by_viewer()),
        instants(rows.iter().map(|row| row.event.ts())),
        words(rows.iter().map(|row| row.event.kind() as u8), &WORDS),
        maybe_texts(rows.iter().map(via)),
        maybe_texts(said().map(|said| said.map(|said| said.tweet_id))),
        maybe_texts(said().map(|said| said.map(|said| said.user_id))),
        maybe_ints(said().map(|said| said.and_then(|said| said.followers))),
        maybe_texts(said().map(|said| said.and_then(|said| said.retweet_of))),
        maybe_instants(rows.iter().map(|row| (row.late_at != ON_TIME).then_some(row.late_at))),
        ints(rows.iter().map(|row| row.commit)),
        numbered(rows.iter().map(|row| row.source), sources),
        small_ints(rows.iter().map(|row| row.partition)),
        ints(rows.iter().map(|row| row.offset)),
    ])
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The events, in batches of rows with the strings that they point to, in the order of [`Event`] within each
    /// broadcast (the broadcasts in the order of their ids): the file has the retweets of a broadcast first, here each
    /// comes at its fingerprint's place. Memory: a batch, and the retweets of one broadcast.
    ///
    /// `number` gives the number of a broadcast's id, `source` that of a source, `fingerprint` that of a retweet's
    /// `tweet_id`, as decoding the event gave it.
    ///
    /// # Errors
    /// [`TableError::Bug`] where the file is of another table; each batch as [`TableFile::open`], or
    /// [`TableError::Value`].
    pub fn events(
        self,
        mut number: impl FnMut(&str) -> u32,
        mut source: impl FnMut(&str) -> u32,
        fingerprint: fn(&str) -> u128,
    ) -> Result<impl Iterator<Item = Result<(Vec<LoggedEvent>, Details), TableError>>, TableError> {
        let batches =
            self.batches(&[Table::Events], move |batch| decode(batch, &mut number, &mut source, fingerprint))?;
        Ok(Ordered { batches: Some(batches), waiting: Vec::new(), sorted: true, strings: Details::new() })
    }
}

impl<R: ChunkReader + 'static> TableFile<R> {
    /// The events as they lie in the file, in batches of a few, each with its strings and with the ids and the sources
    /// that its rows number.
    pub(super) fn logged(self) -> Result<impl Iterator<Item = Result<Raw, TableError>>, TableError> {
        self.by(RAW_ROWS).batches(&[Table::Events], |batch| {
            let (mut ids, mut sources) = (Names::default(), Names::default());
            let number = &mut |id: &str| ids.number(id);
            let (rows, details) = decode(batch, number, &mut |name: &str| sources.number(name), audience::fingerprint)?;
            Ok((rows, details, ids.into_list(), sources.into_list()))
        })
    }

    /// Counts the events of a file of the log for which `is_it` holds, given the broadcast's id.
    ///
    /// # Errors
    /// As [`TableFile::events`].
    pub fn count_events(self, is_it: impl Fn(&str, &LoggedEvent) -> bool) -> Result<u64, TableError> {
        let mut count = 0;
        for raw in self.logged()? {
            let (rows, _, ids, _) = raw?;
            count += rows.iter().filter(|row| is_it(&ids[row.event.broadcast as usize], row)).count() as u64;
        }
        Ok(count)
    }
}

/// Rows of several files are in memory side by side while they are merged.
const RAW_ROWS: usize = 2 << 10;

fn decode(
    batch: &TableBatch<'_>,
    number: &mut impl FnMut(&str) -> u32,
    source: &mut impl FnMut(&str) -> u32,
    fingerprint: fn(&str) -> u128,
) -> Result<(Vec<LoggedEvent>, Details), TableError> {
    let broadcasts = batch.broadcasts(number)?;
    let viewers = batch.maybe_pseudonyms("viewer")?;
    let sessions = batch.maybe_pseudonyms("session")?;
    let times = batch.instants("ts")?;
    let kinds = batch.texts("type")?;
    let vias = batch.maybe_ids("via")?;
    let said = RetweetColumns::of(batch)?;
    let late_at = batch.maybe_instants("late_at")?;
    let commits = batch.ints("commit")?;
    let sources = batch.numbers("source", source)?;
    let partitions = batch.small_ints("partition")?;
    let offsets = batch.ints("offset")?;
    let mut details = Details::new();
    let mut rows = Vec::with_capacity(batch.len());
    for row in 0..batch.len() {
        let kind = Kind::of_word(kinds.value(row)).ok_or_else(|| batch.unknown("type", row, kinds.value(row)))?;
        let (viewer, session, detail) = match kind {
            Kind::Join | Kind::Heartbeat | Kind::Leave => {
                let viewer = viewers.maybe(row).ok_or_else(|| batch.wrong("viewer", row, "null"))?;
                let session = sessions.maybe(row).ok_or_else(|| batch.wrong("session", row, "null"))?;
                (viewer, session, vias.get(batch, row)?.map_or(NO_DETAIL, |via| details.push(Detail::Via(via))))
            }
            Kind::Retweet => {
                let said = said.get(batch, row)?;
                (fingerprint(said.tweet_id), 0, details.push(Detail::Retweet(said)))
            }
            Kind::End => (0, 0, NO_DETAIL),
        };
        let ts = times[row];
        if !(TS_MIN..TS_END).contains(&ts) {
            return Err(batch.wrong("ts", row, format!("{ts} ms, which is outside [2000, 2100)")));
        }
        let late_at = maybe(late_at, row).unwrap_or(ON_TIME);
        // Event time runs on where nothing comes any more, so a watermark may lie behind the last possible event.
        if late_at != ON_TIME && !(TS_MIN..2 * TS_END).contains(&late_at) {
            return Err(batch.wrong("late_at", row, format!("{late_at} ms")));
        }
        rows.push(LoggedEvent {
            event: Event::new(kind, broadcasts[row], viewer, session, ts, detail),
            late_at,
            commit: commits[row],
            offset: offsets[row],
            source: sources[row],
            partition: partitions[row],
        });
    }
    Ok((rows, details))
}

/// Batches in the order of [`Event`]: retweets wait for their fingerprint's place among the viewers.
struct Ordered<B> {
    batches: Option<B>,
    /// Retweets of one broadcast, the next to come last, once `sorted`.
    waiting: Vec<LoggedEvent>,
    sorted: bool,
    /// Their strings.
    strings: Details,
}

/// Strings of the retweets of one broadcast in one file, bytes, at most: places in an arena are 32 bits.
const STRINGS_MAX: usize = 1 << 31;

impl<B> Ordered<B> {
    /// Moves the retweets that come before `event` to `out`; all of them where there is none.
    fn release(&mut self, event: Option<&Event>, out: &mut Vec<LoggedEvent>, details: &mut Details) {
        if !self.sorted {
            self.waiting.sort_unstable_by(|a, b| {
                let place = |row: &LoggedEvent| (row.event, row.source, row.partition, row.offset);
                place(b).cmp(&place(a))
            });
            self.sorted = true;
        }
        while let Some(next) = self.waiting.pop_if(|next| event.is_none_or(|event| next.event < *event)) {
            out.push(LoggedEvent { event: details.adopt(next.event, &self.strings), ..next });
        }
        if self.waiting.is_empty() {
            self.strings.clear();
        }
    }

    fn order(&mut self, rows: Vec<LoggedEvent>, details: &mut Details) -> Option<Vec<LoggedEvent>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let waiting = self.waiting.last().map(|next| next.event.broadcast);
            if waiting.is_some_and(|broadcast| broadcast != row.event.broadcast) {
                self.release(None, &mut out, details);
            }
            if row.event.kind() == Kind::Retweet {
                let event = self.strings.adopt(row.event, details);
                self.waiting.push(LoggedEvent { event, ..row });
                self.sorted = false;
                continue;
            }
            if row.by_viewer() && waiting.is_some() {
                self.release(Some(&row.event), &mut out, details);
            }
            out.push(row);
        }
        (self.strings.len() < STRINGS_MAX).then_some(out)
    }
}

impl<B> Iterator for Ordered<B>
where
    B: Iterator<Item = Result<(Vec<LoggedEvent>, Details), TableError>>,
{
    type Item = Result<(Vec<LoggedEvent>, Details), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batches.as_mut()?.next() {
            Some(Ok((rows, mut details))) => match self.order(rows, &mut details) {
                Some(rows) => Some(Ok((rows, details))),
                None => {
                    self.batches = None;
                    Some(Err(TableError::bug(Table::Events, "over 2 GiB of strings of one broadcast's retweets")))
                }
            },
            Some(Err(error)) => {
                self.batches = None;
                Some(Err(error))
            }
            None => {
                self.batches = None;
                let (mut rows, mut details) = (Vec::new(), Details::new());
                self.release(None, &mut rows, &mut details);
                (!rows.is_empty()).then_some(Ok((rows, details)))
            }
        }
    }
}
