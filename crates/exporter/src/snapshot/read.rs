//! Reading a snapshot back into lanes and their owner. Whatever its bytes are, reading ends in a state or in an error;
//! that they are the bytes that were written, the checksum in the manifest says.

use super::cells::{Record, StayState};
use super::stream::NamedStream;
use super::{BROADCASTS, HEAD, Head, LANE, LEFT, SESSIONS, SnapshotError, TABLE, VIEWERS};
use aggregator::{
    AiringState, CrowdState, ExposedState, FrontierState, GapState, Lane, LateMinute, LeftSession, Live, LiveState,
    OpenSession, Rules, SignsState, StageState, TweetState, UnsettledEnd, ViewerState,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use audience::Stay;
use std::io::BufRead;

/// Bytes of an open session and of a known viewer.
const SESSION_BYTES: u64 = 4 + 9 + 9 + 8 + 8;
const VIEWER_BYTES: u64 = 4 + 9;
/// Bytes of a lane, at least.
const LANE_BYTES: u64 = 1_000;

/// A snapshot whose head is read.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    input: R,
    /// Of the whole input.
    bytes: u64,
    head: Head,
    /// Ids of its broadcasts, by its own numbers.
    ids: Vec<String>,
}

/// The state that a snapshot held.
#[derive(Debug)]
pub struct Restored {
    /// Each as it was, without what it held.
    pub lanes: Vec<Lane>,
    /// Their owner.
    pub live: Live,
    /// Open sessions and known viewers.
    pub entries: u64,
}

impl<R: BufRead> SnapshotReader<R> {
    /// Reads the head of an input of so many bytes: no room is made for more than they can hold.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn open(mut input: R, bytes: u64) -> Result<SnapshotReader<R>, SnapshotError> {
        let mut stream = NamedStream::open(&mut input)?;
        if stream.said(TABLE) != Some(BROADCASTS) {
            return Err(SnapshotError::corrupt("it does not begin with its broadcasts"));
        }
        let head = stream.said(HEAD).ok_or_else(|| SnapshotError::corrupt("it has no head"))?;
        let head: Head = serde_json::from_str(head).map_err(|error| SnapshotError::corrupt(error.to_string()))?;
        let mut ids = Vec::new();
        while let Some(batch) = stream.next_batch()? {
            let column: &StringArray = array(&batch, 0)?;
            ids.extend(column.iter().flatten().map(str::to_owned));
        }
        // Each lane has five streams, none of them shorter than its schema.
        let is_sound = (1..=bytes / LANE_BYTES).contains(&(head.lanes as u64))
            && head.partitions.iter().all(|one| one.lane < head.lanes);
        if !is_sound {
            return Err(SnapshotError::corrupt(format!("a head of {} lanes that cannot be", head.lanes)));
        }
        Ok(SnapshotReader { input, bytes, head, ids })
    }

    /// What it is of.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Reads the rest. `number` gives the number of a broadcast's id in this process; it is asked for those only that
    /// the state names. Each lane takes memory by the number of broadcasts: have a look at the head before.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn restore(mut self, rules: Rules, number: impl FnMut(&str) -> u32) -> Result<Restored, SnapshotError> {
        let known = vec![None; self.ids.len()];
        let mut numbers = Numbers { ids: self.ids, known, number };
        let lanes = (0..self.head.lanes).map(|_| Lane::restore(rules, self.head.watermark)).collect();
        let live = LiveState { watermark: self.head.watermark, ..LiveState::default() };
        let mut parts = Parts { lanes, entries: 0, room: self.bytes, live, stays: Vec::new() };
        while !self.input.fill_buf()?.is_empty() {
            let mut stream = NamedStream::open(&mut self.input)?;
            while let Some(batch) = stream.next_batch()? {
                let table = stream.said(TABLE).ok_or_else(|| SnapshotError::corrupt("a stream without a name"))?;
                let lane = stream.said(LANE).map(str::parse).transpose();
                let lane = lane.map_err(|_| SnapshotError::corrupt(format!("a lane of {table} without a number")))?;
                parts.take(table, lane, &batch, &mut numbers)?;
            }
        }
        if parts.live.exposed.iter().any(|exposed| exposed.gap as usize >= parts.live.gaps.len()) {
            return Err(SnapshotError::corrupt("sessions left open by no gap"));
        }
        for StayState { airing, ms, sessions } in parts.stays {
            let airing = parts.live.airings.get_mut(airing as usize).filter(|_| ms >= 0 && sessions > 0);
            let airing = airing.ok_or_else(|| SnapshotError::corrupt("stays that no airing can have had"))?;
            airing.minute.stays.push(Stay { ms, sessions });
        }
        for FrontierState { broadcast, at, .. } in &parts.live.frontiers {
            parts.lanes.iter_mut().for_each(|lane| lane.set_frontier(*broadcast, *at));
        }
        Ok(Restored { lanes: parts.lanes, live: Live::restore(rules, &parts.live), entries: parts.entries })
    }
}

fn array<A: Array + 'static>(batch: &RecordBatch, column: usize) -> Result<&A, SnapshotError> {
    let found: Option<&ArrayRef> = batch.columns().get(column);
    let array = found.filter(|array| array.null_count() == 0).and_then(|array| array.as_any().downcast_ref());
    array.ok_or_else(|| SnapshotError::corrupt(format!("column {column} is not of its type")))
}

/// The numbers of broadcasts in this process, by the snapshot's own.
struct Numbers<F> {
    ids: Vec<String>,
    known: Vec<Option<u32>>,
    number: F,
}

impl<F: FnMut(&str) -> u32> Numbers<F> {
    fn of(&mut self, its: u32) -> Result<u32, SnapshotError> {
        let (Some(id), Some(known)) = (self.ids.get(its as usize), self.known.get_mut(its as usize)) else {
            return Err(SnapshotError::corrupt(format!("no broadcast has number {its}")));
        };
        Ok(*known.get_or_insert_with(|| (self.number)(id)))
    }
}

/// What has been read so far.
struct Parts {
    lanes: Vec<Lane>,
    entries: u64,
    /// Bytes that the sessions and viewers may take for which no room has been made yet.
    room: u64,
    live: LiveState,
    stays: Vec<StayState>,
}

impl Parts {
    fn take<F: FnMut(&str) -> u32>(
        &mut self,
        table: &str,
        lane: Option<usize>,
        batch: &RecordBatch,
        numbers: &mut Numbers<F>,
    ) -> Result<(), SnapshotError> {
        let lane = match lane {
            Some(lane) => {
                Some(self.lanes.get_mut(lane).ok_or_else(|| SnapshotError::corrupt(format!("no lane {lane}")))?)
            }
            None => None,
        };
        let live = &mut self.live;
        match (table, lane) {
            (SESSIONS, Some(lane)) => {
                self.entries += batch.num_rows() as u64;
                return sessions(batch, lane, numbers);
            }
            (VIEWERS, Some(lane)) => {
                self.entries += batch.num_rows() as u64;
                return viewers(batch, lane, numbers);
            }
            (LEFT, Some(lane)) => return left(batch, lane, numbers),
            (LateMinute::TABLE, Some(lane)) => {
                let mut late: Vec<LateMinute> = Vec::new();
                records(batch, numbers, &mut late)?;
                late.iter().for_each(|late| lane.put_late(late));
            }
            (CrowdState::TABLE, Some(lane)) => {
                let mut crowds: Vec<CrowdState> = Vec::new();
                records(batch, numbers, &mut crowds)?;
                for crowd in &crowds {
                    let bytes = (crowd.sessions.unsigned_abs())
                        .saturating_mul(SESSION_BYTES)
                        .saturating_add(crowd.viewers.unsigned_abs().saturating_mul(VIEWER_BYTES));
                    let room = self.room.checked_sub(bytes);
                    self.room = room.ok_or_else(|| SnapshotError::corrupt("a crowd larger than the file"))?;
                    lane.put_crowd(crowd);
                }
            }
            (FrontierState::TABLE, None) => records(batch, numbers, &mut live.frontiers)?,
            (StageState::TABLE, None) => records(batch, numbers, &mut live.stages)?,
            (AiringState::TABLE, None) => records(batch, numbers, &mut live.airings)?,
            (StayState::TABLE, None) => records(batch, numbers, &mut self.stays)?,
            (TweetState::TABLE, None) => records(batch, numbers, &mut live.tweets)?,
            (LateMinute::TABLE, None) => records(batch, numbers, &mut live.late)?,
            (GapState::TABLE, None) => records(batch, numbers, &mut live.gaps)?,
            (ExposedState::TABLE, None) => records(batch, numbers, &mut live.exposed)?,
            (SignsState::TABLE, None) => records(batch, numbers, &mut live.unsettled)?,
            (UnsettledEnd::TABLE, None) => records(batch, numbers, &mut live.unsettled_ends)?,
            _ => return Err(SnapshotError::corrupt(format!("it has an unknown table {table:?}"))),
        }
        Ok(())
    }
}

/// Appends records of integers, each with its broadcast's number in this process.
fn records<R: Record, F: FnMut(&str) -> u32>(
    batch: &RecordBatch,
    numbers: &mut Numbers<F>,
    records: &mut Vec<R>,
) -> Result<(), SnapshotError> {
    let mut names = Vec::new();
    R::names("", &mut names);
    let mut columns = Vec::new();
    for name in &names {
        let found = batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<Int64Array>());
        columns.push(found.ok_or_else(|| SnapshotError::corrupt(format!("{} has no column {name}", R::TABLE)))?);
    }
    records.reserve(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut cells = columns.iter().map(|column| column.is_valid(row).then(|| column.value(row)));
        let record = R::take(&mut cells);
        let mut record = record.ok_or_else(|| SnapshotError::corrupt(format!("a row of {} cannot be", R::TABLE)))?;
        if let Some(broadcast) = record.broadcast() {
            *broadcast = numbers.of(*broadcast)?;
        }
        records.push(record);
    }
    Ok(())
}

fn sessions<F: FnMut(&str) -> u32>(
    batch: &RecordBatch,
    lane: &mut Lane,
    numbers: &mut Numbers<F>,
) -> Result<(), SnapshotError> {
    let (broadcasts, keys): (&UInt32Array, &FixedSizeBinaryArray) = (array(batch, 0)?, array(batch, 1)?);
    let viewers: &FixedSizeBinaryArray = array(batch, 2)?;
    let joined: &TimestampMillisecondArray = array(batch, 3)?;
    let seen: &TimestampMillisecondArray = array(batch, 4)?;
    for row in 0..batch.num_rows() {
        let (broadcast, key) = (numbers.of(broadcasts.value(row))?, key_of(keys, row)?);
        let (viewer, joined_at, seen_at) = (key_of(viewers, row)?, joined.value(row), seen.value(row));
        lane.put_session(&OpenSession { broadcast, key, viewer, joined_at, seen_at });
    }
    Ok(())
}

fn left<F: FnMut(&str) -> u32>(
    batch: &RecordBatch,
    lane: &mut Lane,
    numbers: &mut Numbers<F>,
) -> Result<(), SnapshotError> {
    let (broadcasts, keys): (&UInt32Array, &FixedSizeBinaryArray) = (array(batch, 0)?, array(batch, 1)?);
    let left: &TimestampMillisecondArray = array(batch, 2)?;
    for row in 0..batch.num_rows() {
        let (broadcast, key) = (numbers.of(broadcasts.value(row))?, key_of(keys, row)?);
        lane.put_left(&LeftSession { broadcast, key, left_at: left.value(row) });
    }
    Ok(())
}

fn viewers<F: FnMut(&str) -> u32>(
    batch: &RecordBatch,
    lane: &mut Lane,
    numbers: &mut Numbers<F>,
) -> Result<(), SnapshotError> {
    let (broadcasts, keys): (&UInt32Array, &FixedSizeBinaryArray) = (array(batch, 0)?, array(batch, 1)?);
    for row in 0..batch.num_rows() {
        lane.put_viewer(&ViewerState { broadcast: numbers.of(broadcasts.value(row))?, key: key_of(keys, row)? });
    }
    Ok(())
}

fn key_of(keys: &FixedSizeBinaryArray, row: usize) -> Result<[u8; 9], SnapshotError> {
    let key = keys.value(row).try_into().ok().filter(|key| *key != [0; 9]);
    key.ok_or_else(|| SnapshotError::corrupt("a key that is none"))
}
