//! A draft is what the caller says in a commit: all of its manifest but who writes, which number it has, and its files.

use super::{
    identity::Identity,
    manifest::{
        Answer, CONTRACT, CommitKind, Counts, FileEntry, InputPartition, Inputs, Ledger, Manifest, Parent, Removed,
        Settlement, Snapshot, SnapshotFile, TABLES,
    },
};
use audience::Ms;
use std::collections::{BTreeMap, BTreeSet};

/// What the caller says in a commit. Each field is that of [`Manifest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// What it is for.
    pub kind: CommitKind,
    /// Our clock, ms.
    pub created_at: Ms,
    /// The tables that this writer keeps.
    pub tables: BTreeSet<String>,
    /// Every partition known, and the files read.
    pub inputs: Inputs,
    /// The watermark over all.
    pub watermark: Option<Ms>,
    /// This commit's own records.
    pub counts: Counts,
    /// All records so far.
    pub ledger: Ledger,
    /// What settled.
    pub settled: Vec<Settlement>,
    /// Number of the last commit with which the data ended.
    pub ended: Option<u64>,
    /// Leaves so far that came for a session which a silence had closed.
    pub silenced: u64,
    /// Files that are data no longer.
    pub removed: Vec<Removed>,
    /// Their rows that no added file holds again, by table.
    pub dropped: BTreeMap<String, u64>,
    /// Events that had settled by this commit may be gone from here on.
    pub horizon: Option<u64>,
    /// The live state after it.
    pub snapshot: Option<Snapshot>,
    /// Requests that it answers.
    pub answers: Vec<Answer>,
    /// The effective settings that rule the data.
    pub settings: BTreeMap<String, String>,
}

impl Draft {
    /// The first commit of a directory: all tables, nothing read.
    pub fn first(kind: CommitKind, created_at: Ms) -> Draft {
        Draft { kind, created_at, tables: TABLES.map(str::to_owned).into(), ..Draft::default() }
    }

    /// A commit after `parent` that reads nothing: what was true stays true, until the caller says more.
    pub fn after(parent: &Manifest, kind: CommitKind, created_at: Ms) -> Draft {
        let stay = |p: &InputPartition| InputPartition {
            from: p.to,
            accepted: 0,
            rejected: 0,
            skipped: 0,
            gaps: Vec::new(),
            event_at_after_gap: None,
            ..p.clone()
        };
        Draft {
            kind,
            created_at,
            tables: parent.tables.clone(),
            inputs: Inputs { partitions: parent.inputs.partitions.iter().map(stay).collect(), sources: Vec::new() },
            watermark: parent.watermark,
            ledger: parent.ledger,
            ended: parent.ended,
            silenced: parent.silenced,
            snapshot: parent.snapshot.clone(),
            settings: parent.settings.clone(),
            ..Draft::default()
        }
    }

    /// The commit by which a new owner fences the one before.
    pub(crate) fn open(parent: &Manifest, created_at: Ms) -> Draft {
        Draft::after(parent, CommitKind::Open, created_at)
    }

    /// The manifest, not sealed yet, and without what is restated.
    pub(crate) fn manifest(&self, identity: &Identity, parent: Option<&Manifest>, added: Vec<FileEntry>) -> Manifest {
        let draft = self.clone();
        Manifest {
            contract: parent.map_or(CONTRACT, |p| p.contract),
            version: identity.version.clone(),
            config: identity.config.clone(),
            writer: identity.writer.clone(),
            incarnation: format!("{:032x}", identity.incarnation),
            number: parent.map_or(0, |p| p.number) + 1,
            parent: parent.map(|p| Parent { number: p.number, checksum: p.checksum.clone() }),
            created_at: draft.created_at,
            kind: draft.kind,
            tables: draft.tables,
            inputs: draft.inputs,
            watermark: draft.watermark,
            counts: draft.counts,
            ledger: draft.ledger,
            settled: draft.settled,
            ended: draft.ended,
            silenced: draft.silenced,
            added,
            removed: draft.removed,
            dropped: draft.dropped,
            horizon: draft.horizon,
            snapshot: draft.snapshot,
            answers: draft.answers,
            settings: draft.settings,
            restated: None,
            checksum: String::new(),
        }
    }

    /// Whether the snapshot is made of files that are there: the parent's, and those of this commit, all of them.
    pub(crate) fn names_snapshot(&self, new: &[FileEntry], parent: Option<&Manifest>) -> Result<(), String> {
        let new: Vec<SnapshotFile> = new.iter().map(SnapshotFile::from).collect();
        let named = self.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.files);
        if let Some(forgotten) = new.iter().find(|file| !named.contains(file)) {
            return Err(format!("{} was written, but the snapshot does not name it", forgotten.path));
        }
        let kept = parent.and_then(|p| p.snapshot.as_ref()).map_or(&[][..], |snapshot| &snapshot.files);
        match named.iter().find(|file| !new.contains(file) && !kept.contains(file)) {
            Some(file) => {
                Err(format!("the snapshot names {}, which neither this commit nor the one before has", file.path))
            }
            None => Ok(()),
        }
    }
}
