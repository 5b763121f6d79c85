//! The rejects of a replay: of each file, how many of its events were rejected for what, and the first of each, in
//! words that a person needs to mend it.

use audience::{Guise, Reason, Rejection, flaw};
use std::collections::BTreeMap;

/// Bytes of a line that are shown of it.
const SHOWN: usize = 400;

/// What was read of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceCounts {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
}

/// A file of which events were rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedFile {
    /// Its path as it was given.
    pub source: String,
    /// Its events that were accepted.
    pub accepted: u64,
    /// Its events that were rejected.
    pub rejected: u64,
    /// These by what they were rejected for, the most frequent first.
    pub groups: Vec<RejectedGroup>,
}

/// Events of one file that were rejected for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedGroup {
    /// Why.
    pub rejection: Rejection,
    /// How many.
    pub count: u64,
    /// The line of the first of them; the file's first line is 1.
    pub line: u64,
    /// The place of its first byte in the file, uncompressed.
    pub offset: u64,
    /// How the line begins, and what is wrong with it; `None` where payloads are not to be shown.
    pub begins: Option<String>,
    /// The same in a sentence, where it is known.
    pub flaw: Option<String>,
    /// What it seems to be instead of an event.
    pub guise: Option<Guise>,
}

/// A line that was rejected, and its place.
pub(super) struct RejectedLine<'a> {
    pub(super) source: u32,
    /// Where its block begins, and how many lines of the block come before it.
    pub(super) block: u64,
    pub(super) lines_before: u64,
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

/// What is counted while lines are read.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    /// By source and reason. The line of a group is counted from its block's first on.
    groups: BTreeMap<(u32, Rejection), (u64, RejectedGroup)>,
    /// Source, beginning and number of lines of each block.
    blocks: Vec<(u32, u64, u64)>,
}

impl Rejects {
    /// A block of so many lines was read.
    pub(super) fn read(&mut self, source: u32, block: u64, lines: u64) {
        self.blocks.push((source, block, lines));
    }

    /// A line was rejected. With `redact` nothing of it is kept.
    pub(super) fn add(&mut self, rejection: Rejection, line: &RejectedLine<'_>, redact: bool) {
        let key = (line.source, rejection);
        if let Some((_, group)) = self.groups.get_mut(&key)
            && group.offset <= line.offset
        {
            group.count += 1;
            return;
        }
        let begins =
            (!redact).then(|| String::from_utf8_lossy(&line.bytes[..line.bytes.len().min(SHOWN)]).into_owned());
        let first = RejectedGroup {
            rejection,
            count: 1,
            line: line.lines_before + 1,
            offset: line.offset,
            begins,
            flaw: if redact { None } else { flaw(rejection, line.bytes) },
            guise: Guise::of(line.bytes),
        };
        self.join(key, (line.block, first));
    }

    fn join(&mut self, key: (u32, Rejection), (block, mut group): (u64, RejectedGroup)) {
        let Some((known_block, known)) = self.groups.remove(&key) else {
            self.groups.insert(key, (block, group));
            return;
        };
        let count = known.count + group.count;
        let (block, first) = if known.offset <= group.offset { (known_block, known) } else { (block, group) };
        group = RejectedGroup { count, ..first };
        self.groups.insert(key, (block, group));
    }

    pub(super) fn absorb(&mut self, part: Rejects) {
        self.blocks.extend(part.blocks);
        for (key, group) in part.groups {
            self.join(key, group);
        }
    }

    /// Rejected events by reason.
    pub(super) fn reasons(&self) -> BTreeMap<Reason, u64> {
        let mut reasons = BTreeMap::new();
        for ((_, rejection), (_, group)) in &self.groups {
            *reasons.entry(rejection.reason).or_default() += group.count;
        }
        reasons
    }

    /// The files with rejected events, those with the most first.
    pub(super) fn files(mut self, names: impl Fn(u32) -> String, counts: &[SourceCounts]) -> Vec<RejectedFile> {
        self.blocks.sort_unstable();
        let mut before: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        let (mut source, mut lines) = (0, 0);
        for (of, block, count) in self.blocks {
            lines = if of == source { lines } else { 0 };
            source = of;
            before.insert((of, block), lines);
            lines += count;
        }
        let mut files: BTreeMap<u32, RejectedFile> = BTreeMap::new();
        for ((source, _), (block, mut group)) in self.groups {
            group.line += before.get(&(source, block)).copied().unwrap_or_default();
            let SourceCounts { accepted, rejected } = counts[source as usize];
            let file = || RejectedFile { source: names(source), accepted, rejected, groups: Vec::new() };
            files.entry(source).or_insert_with(file).groups.push(group);
        }
        let mut files: Vec<RejectedFile> = files.into_values().collect();
        files.iter_mut().for_each(|file| file.groups.sort_by_key(|group| std::cmp::Reverse(group.count)));
        files.sort_by_key(|file| std::cmp::Reverse(file.rejected));
        files
    }
}
