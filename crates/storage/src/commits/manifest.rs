//! A manifest is the one small JSON file that makes a commit: which offsets were read, what became of their records,
//! and which files are data from now on. `commits/WRITER/NUMBER.json` is created only if it is absent, and never
//! changes.
//!
//! Its last field is its own checksum: BLAKE3, in hex, of all bytes of the file before `,"checksum":`. Instants are ms
//! since the Unix epoch. Fields that are empty may be absent; a field that this version does not know is refused, for
//! it may take data away.

use aggregator::{Gap, Gaps};
use audience::Ms;
use audience::time::{TS_END, TS_MIN};
use exporter::SavedRules;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the contract that this code writes, and the newest that it reads.
pub const CONTRACT: u32 = 2;

/// The tables, each a folder of the data directory.
pub const TABLES: [&str; 8] =
    ["airings", "minutes", "sessions", "retweets", "live", "rejected", "events", "corrections"];

/// The folder of the files of a [`Snapshot`].
pub const SNAPSHOT: &str = "snapshot";

/// Every so many commits, a manifest states again all that the ones before it add up to.
pub const RESTATE_EVERY: u64 = if cfg!(test) { 5 } else { 1_000 };

/// What a commit is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitKind {
    /// A writer took the directory over; nothing else. It fences the writer before.
    Open,
    /// `run`: records of Kafka, and what settled.
    #[default]
    Run,
    /// `replay`: files.
    Replay,
    /// An operator's `settle`.
    Settle,
    /// An operator's `forget`.
    Forget,
    /// Files merged, or dropped by age.
    Tidy,
}

/// One commit, as its file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the contract, the same in all commits of a directory: [`CONTRACT`], or an earlier one.
    pub contract: u32,
    /// Version of the product that wrote it.
    pub version: String,
    /// Hash of the effective configuration, hex.
    pub config: String,
    /// The writer's name: the folder below `commits`.
    pub writer: String,
    /// 128 random bits of one start of a process, 32 hex digits.
    pub incarnation: String,
    /// From 1, without gaps.
    pub number: u64,
    /// The commit before; absent in the first.
    pub parent: Option<Parent>,
    /// Our clock.
    pub created_at: Ms,
    /// What it is for.
    pub kind: CommitKind,
    /// The tables that this writer keeps; the others are not written at all.
    pub tables: BTreeSet<String>,
    /// Where the records came from.
    pub inputs: Inputs,
    /// The watermark over all partitions; it never goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Ms>,
    /// This commit's own records.
    pub counts: Counts,
    /// All records up to this commit.
    pub ledger: Ledger,
    /// What settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settlement>,
    /// Number of the last commit with which the data ended: whatever was on air was over then, whatever the watermark
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// Leaves so far that came for a session which a silence had closed, as far as their run remembered: a hint, in no
    /// sum.
    #[serde(default, skip_serializing_if = "is_none")]
    pub silenced: u64,
    /// Files that are data from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<FileEntry>,
    /// Files that are data no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Removed>,
    /// Rows of the removed files, by table, that no added file holds again: they were too old, or were to be forgotten.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// Events that had settled, or had come behind a frontier, by the commit of this number are no longer kept: all of
    /// them may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<u64>,
    /// The cache of the live state after this commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// Requests that this commit answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// The effective settings that rule the data, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// In every [`RESTATE_EVERY`]th commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<Restated>,
    /// BLAKE3 of the bytes before it, 64 hex digits.
    pub checksum: String,
}

impl Manifest {
    /// Rows of a table that it dropped for their age.
    pub fn too_old(&self, table: &str) -> u64 {
        self.dropped.get(table).filter(|_| self.kind == CommitKind::Tidy).copied().unwrap_or(0)
    }

    /// Whether it is of an earlier version of the contract, by whose rules nothing is counted any more.
    pub fn is_older(&self) -> bool {
        self.contract < CONTRACT
    }

    /// The greatest time that a record so far bears.
    pub fn recorded_at(&self) -> Option<Ms> {
        let times = self.inputs.partitions.iter().filter_map(|one| one.record_at_max);
        times.filter(|at| (TS_MIN..TS_END).contains(at)).max()
    }
}

/// The commit before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// One less than the child's.
    pub number: u64,
    /// As the parent's file ends.
    pub checksum: String,
}

/// Where the records of a commit came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Every partition that this commit or one before it read, read now or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<InputPartition>,
    /// The files that this commit read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// What was read of one Kafka partition: `to - from = accepted + rejected + skipped + gaps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputPartition {
    /// Its topic.
    pub topic: String,
    /// The topic's id, where the client can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Its number.
    pub partition: i32,
    /// First offset read: the parent's `to`.
    pub from: i64,
    /// First offset not yet read.
    pub to: i64,
    /// Records that became events.
    pub accepted: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// Offsets that hold no record: control records, aborted transactions.
    pub skipped: u64,
    /// Offsets lost to retention, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<OffsetGap>,
    /// `ts` of its first accepted event after the gaps of earlier commits, in the commit that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_after_gap: Option<Ms>,
    /// `ts` of its last accepted event so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_last: Option<Ms>,
    /// Greatest `ts` of its accepted events so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_max: Option<Ms>,
    /// Greatest time of its records so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_at_max: Option<Ms>,
    /// Time of its last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_at_last: Option<Ms>,
    /// Its watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Ms>,
    /// Whether it was left out of the watermark over all.
    #[serde(default)]
    pub idle: bool,
}

/// Offsets `[from, to)` that were gone before we read them: their loss was accepted by the operator, or is a beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetGap {
    /// First offset lost.
    pub from: i64,
    /// First offset not lost.
    pub to: i64,
    /// `ts` of the last accepted event before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_before: Option<Ms>,
    /// `ts` of the first accepted event after it. Where it came in a later commit, that one says it: see
    /// [`InputPartition::event_at_after_gap`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_after: Option<Ms>,
    /// The beginning of the partition, which the broker had no more when the partition was first read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beginning: bool,
}

/// One file that `replay` read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As given; `-` is standard input.
    pub path: String,
    /// Its bytes as stored, so compressed where it is.
    pub bytes: u64,
    /// CRC-64/NVME of those bytes, 16 hex digits.
    pub crc64: String,
    /// Lines that became events.
    pub accepted: u64,
    /// Lines that could not be used.
    pub rejected: u64,
}

/// The records of one commit: `read = accepted + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// All.
    pub read: u64,
    /// Became events.
    pub accepted: u64,
    /// Could not be used.
    pub rejected: u64,
    /// The rejected, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, u64>,
}

/// What became of all records so far: `read = accepted + rejected`, `accepted =` the sum of the other five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// All.
    pub read: u64,
    /// Became events.
    pub accepted: u64,
    /// Could not be used.
    pub rejected: u64,
    /// Had an effect.
    pub applied: u64,
    /// Said again what was known.
    pub repeated: u64,
    /// Leaves without an open session, and heartbeats that straggle.
    pub orphaned: u64,
    /// Came behind their broadcast's frontier.
    pub after_settle: u64,
    /// Wait.
    pub not_yet_settled: u64,
}

/// Airings that settled by the same rules from the same events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// The last commit whose events were read, by writer.
    pub read_to: BTreeMap<String, u64>,
    /// An operator's: all that was settled of these broadcasts from this instant on is replaced by what is said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces_from: Option<Ms>,
    /// The rules.
    pub rules: SavedRules,
    /// What settled.
    pub airings: Vec<SettledAiring>,
}

impl Settlement {
    /// The last commit whose events were read, of all writers, in the type of the log's column `commit`.
    pub fn read_to(&self) -> i64 {
        self.read_to.values().max().map_or(0, |number| i64::try_from(*number).unwrap_or(i64::MAX))
    }
}

/// One airing that settled, and what became of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledAiring {
    /// Its broadcast.
    pub broadcast_id: String,
    /// Its name; absent where nothing was applied, so that it leaves no row.
    pub airing_at: Option<Ms>,
    /// Events of the broadcast before it that come later are `after_settle`.
    pub frontier: Ms,
    /// Its last event, where the broadcast is off air at the frontier: what comes next begins off air, unless it is
    /// silent for `broadcast_idle` from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_air: Option<Ms>,
    /// Events that had an effect.
    pub applied: u64,
    /// Events that said again what was known.
    pub repeated: u64,
    /// Leaves without an open session.
    pub orphaned: u64,
}

/// One data file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its table, the first folder of `path`.
    pub table: String,
    /// Its final name, relative to the data directory, with `/`.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, 64 hex digits.
    pub blake3: String,
    /// Whether its rows stood in files that the same commit removes (a merge), so that they are not new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewritten: bool,
}

impl FileEntry {
    /// The commit that it was begun in, as its name says: its rows are of commits before it, or of that one. `u64::MAX`
    /// where the name says none.
    pub fn begun_in(&self) -> u64 {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.get(..20).and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
    }
}

/// One file that is data no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Its table.
    pub table: String,
    /// The name by which it was added.
    pub path: String,
    /// Its rows.
    pub rows: u64,
}

impl From<&FileEntry> for Removed {
    fn from(file: &FileEntry) -> Removed {
        Removed { table: file.table.clone(), path: file.path.clone(), rows: file.rows }
    }
}

/// The live state, in a base and the changes since. A cache: without it, `events` say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// What its files are, with a version, for those who read it.
    pub format: String,
    /// The base, then the changes in their order.
    pub files: Vec<SnapshotFile>,
}

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotFile {
    /// Relative to the data directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, 64 hex digits.
    pub blake3: String,
}

impl From<&FileEntry> for SnapshotFile {
    fn from(file: &FileEntry) -> SnapshotFile {
        SnapshotFile { path: file.path.clone(), bytes: file.bytes, blake3: file.blake3.clone() }
    }
}

/// The answer to a file in `requests/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The file's name.
    pub request: String,
    /// A sentence: done, or why not.
    pub answer: String,
    /// The exit code of whoever asked, 0 where it is done.
    #[serde(default, skip_serializing_if = "is_done")]
    pub code: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_done(code: &u8) -> bool {
    *code == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// All that the commits up to and with this one add up to, so that older ones need not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restated {
    /// All live files, by path.
    pub files: Vec<FileEntry>,
    /// The frontier of each broadcast that ever settled.
    pub frontiers: BTreeMap<String, Ms>,
    /// The last event of each broadcast that is off air at its frontier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub off_air: BTreeMap<String, Ms>,
    /// All gaps, in the order of their commits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// A gap of one partition, as the commits know it so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// What was lost.
    pub gap: OffsetGap,
}

impl From<&Lost> for Gap {
    fn from(lost: &Lost) -> Gap {
        let OffsetGap { event_at_before: before, event_at_after: after, beginning: is_beginning, .. } = lost.gap;
        Gap { before, after, is_beginning }
    }
}

/// All that was lost, as gaps of the input.
pub fn gaps_of(lost: &[Lost]) -> Gaps {
    lost.iter().map(Gap::from).collect()
}

/// Takes what a commit says of gaps to those that the commits before it know.
pub fn note_lost(lost: &mut Vec<Lost>, manifest: &Manifest) {
    for one in &manifest.inputs.partitions {
        if let Some(at) = one.event_at_after_gap {
            let of_it = lost.iter_mut().filter(|lost| lost.topic == one.topic && lost.partition == one.partition);
            of_it.for_each(|lost| lost.gap.event_at_after = lost.gap.event_at_after.or(Some(at)));
        }
        let (topic, partition) = (&one.topic, one.partition);
        lost.extend(one.gaps.iter().map(|gap| Lost { topic: topic.clone(), partition, gap: gap.clone() }));
    }
}

/// Where the manifest of commit `number` of `writer` lies.
pub fn manifest_path(writer: &str, number: u64) -> String {
    format!("commits/{writer}/{number:020}.json")
}
