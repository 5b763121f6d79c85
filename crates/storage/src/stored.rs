//! A data directory as it is stored, and its one reader: what its commits say, and the tables by the files that the
//! last commit names, in batches. Broadcasts are numbered as they are met.

use crate::directory::{self, WRITER};
use crate::{
    Chain, ChainError, FileEntry, Ledger, Lost, Manifest, Store, StoreError, StoredFile, read_manifests, refuse_data,
};
use aggregator::Frontier;
use audience::{Ms, Names, fingerprint};
use exporter::{LoggedEvent, Table, TableError, TableFile};
use problem::Problem;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data directory that is read.
#[derive(Debug)]
pub struct Stored {
    store: Store,
    /// The commits of each writer; none is empty. There is one writer today. Several are coming, each with partitions
    /// and a chain of its own, and whoever reads a directory then finds them all here.
    chains: Vec<Chain>,
    /// Rows of other broadcasts are passed over.
    only: Option<String>,
    broadcasts: RefCell<Names>,
    sources: RefCell<Names>,
}

/// Why a directory could not be read.
#[derive(Clone, Debug)]
pub enum ReadError {
    /// A file that a commit names is not there: a run has put others in its place since, or it was lost.
    Gone {
        /// Where it should be.
        path: PathBuf,
    },
    /// Whatever else.
    Failed(Problem),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Gone { path } => Problem::data(format!(
                "{} is missing, though a commit names it. Restore it from a copy of the data directory.",
                path.display()
            )),
            ReadError::Failed(problem) => problem,
        }
    }
}

impl From<Problem> for ReadError {
    fn from(problem: Problem) -> ReadError {
        ReadError::Failed(problem)
    }
}

/// That a read failed for another reason is none to read again.
macro_rules! failed {
    ($($error:ty),*) => {$(
        impl From<$error> for ReadError {
            fn from(error: $error) -> ReadError {
                ReadError::Failed(error.into())
            }
        }
    )*};
}

failed!(ChainError, StoreError, TableError);

/// Where a file of the last commit lies, as a path or a URL: after a crash just behind the commit it has not got its
/// name yet.
fn path_of(store: &Store, file: &FileEntry) -> PathBuf {
    let named = store.path(&file.path);
    let unnamed = || store.unnamed(&file.path).iter().map(|path| store.path(path)).find(|path| path.exists());
    if store.is_local() && !named.exists() { unnamed().unwrap_or(named) } else { named }
}

/// Opens one file of a table.
pub fn open_table(store: &Store, table: Table, file: &FileEntry) -> Result<TableFile<StoredFile>, ReadError> {
    // Between two looks its writer may have named it.
    let again = store.is_local().then(|| file.path.clone());
    let mut names = iter::once(file.path.clone()).chain(store.unnamed(&file.path)).chain(again);
    let opened = names.find_map(|name| store.read(&name).transpose()).transpose()?;
    let path = store.path(&file.path);
    let opened = opened.ok_or_else(|| ReadError::Gone { path: path.clone() })?;
    Ok(TableFile::open(table, &path.display().to_string(), opened)?)
}

/// Defines a reader of one table: each batch goes to a function.
macro_rules! tables {
    ($($(#[$doc:meta])* $reader:ident $table:ident $rows:ty;)*) => {$(
        $(#[$doc])*
        pub fn $reader(&self, mut take: impl FnMut($rows) -> Result<(), Problem>) -> Result<(), ReadError> {
            for file in self.files(Table::$table) {
                let number = |id: &str| self.broadcasts.borrow_mut().number(id);
                for batch in self.open_file(Table::$table, file)?.$reader(number)? {
                    take(batch?)?;
                }
            }
            Ok(())
        }
    )*};
}

impl Stored {
    /// Opens a data directory as its last commit left it.
    pub fn open(dir: &Path) -> Result<Stored, Problem> {
        let store = directory::open(dir)?;
        let chain = Chain::open(&store, WRITER)?;
        if chain.newest().is_none() {
            return Err(no_commit(dir, &store));
        }
        let chains = vec![chain];
        Ok(Stored { store, chains, only: None, broadcasts: RefCell::default(), sources: RefCell::default() })
    }

    /// Opens a data directory and does something with it; once more where a run has meanwhile put other files in the
    /// place of those that it names.
    pub fn read<T>(dir: &Path, act: impl Fn(Stored) -> Result<T, ReadError>) -> Result<T, Problem> {
        loop {
            let stored = Stored::open(dir)?;
            let numbers = stored.numbers();
            match act(stored) {
                Err(ReadError::Gone { .. }) if Stored::open(dir)?.numbers() != numbers => {}
                done => return Ok(done?),
            }
        }
    }

    /// Number of the newest commit of each writer.
    fn numbers(&self) -> Vec<u64> {
        self.chains.iter().map(Chain::number).collect()
    }

    /// From here on only the rows of one broadcast are read, and files that cannot hold any are passed over. Rejected
    /// events have none.
    #[must_use]
    pub fn of_broadcast(self, broadcast_id: &str) -> Stored {
        Stored { only: Some(broadcast_id.to_owned()), ..self }
    }

    /// Whether it is of an earlier version of the contract.
    pub fn is_older(&self) -> bool {
        self.chains.iter().filter_map(Chain::newest).any(Manifest::is_older)
    }

    /// The folder or place in an object store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The chain in which settlements stand: that of the one writer.
    pub fn chain(&self) -> &Chain {
        &self.chains[0]
    }

    /// The newest commit, by whose settings the directory is read.
    pub fn newest(&self) -> Result<&Manifest, Problem> {
        let newest = self.chains.iter().filter_map(Chain::newest).max_by_key(|newest| newest.created_at);
        newest.ok_or_else(|| Problem::bug("A directory without a commit was opened."))
    }

    /// All commits, those of a writer in their order.
    pub fn manifests(&self) -> impl Iterator<Item = Result<Manifest, ChainError>> {
        self.chains.iter().flat_map(|chain| read_manifests(&self.store, chain.writer(), 1..=chain.number()))
    }

    /// How many rows of a table were dropped for their age, and when the last of them were; `None` where none was.
    pub fn too_old(&self, table: Table) -> Result<Option<(u64, Ms)>, Problem> {
        let mut dropped = None::<(u64, Ms)>;
        for manifest in self.manifests() {
            let manifest = manifest?;
            let rows = manifest.too_old(table.name());
            if rows > 0 {
                dropped = Some((rows + dropped.map_or(0, |(before, _)| before), manifest.created_at));
            }
        }
        Ok(dropped)
    }

    /// The frontier of each broadcast that ever settled.
    pub fn frontiers(&self) -> BTreeMap<&str, Frontier> {
        let mut frontiers = BTreeMap::new();
        for chain in &self.chains {
            for id in chain.frontiers().keys() {
                let known = frontiers.entry(id.as_str()).or_insert(Frontier::NONE);
                *known = chain.frontier(id).max(*known);
            }
        }
        frontiers
    }

    /// What was lost of the input and accepted as lost.
    pub fn lost(&self) -> Vec<Lost> {
        self.chains.iter().flat_map(Chain::lost).cloned().collect()
    }

    /// What became of all records that were read.
    pub fn ledger(&self) -> Ledger {
        let ledgers = self.chains.iter().filter_map(Chain::newest).map(|newest| newest.ledger);
        ledgers.reduce(sum).unwrap_or_default()
    }

    /// The files of a table.
    fn files(&self, table: Table) -> impl Iterator<Item = &FileEntry> {
        self.chains.iter().flat_map(move |chain| chain.files_of(table.name()))
    }

    /// Where the files of the table with this name lie, as paths or URLs.
    pub fn paths<'a>(&'a self, table: &'a str) -> impl Iterator<Item = PathBuf> {
        let files = self.chains.iter().flat_map(move |chain| chain.files_of(table));
        files.map(|file| path_of(&self.store, file))
    }

    fn open_file(&self, table: Table, file: &FileEntry) -> Result<TableFile<StoredFile>, ReadError> {
        let opened = open_table(&self.store, table, file)?;
        match &self.only {
            Some(id) if table != Table::Rejected => Ok(opened.of_broadcast(id)),
            _ => Ok(opened),
        }
    }

    tables! {
        /// Reads the airings.
        airings Airings Vec<audience::AiringRow>;
        /// Reads the sessions, each batch with the strings that it points to.
        sessions Sessions (Vec<audience::SessionRow>, audience::Details);
        /// Reads the retweets, each batch with the strings that it points to.
        retweets Retweets (Vec<audience::RetweetRow>, audience::Details);
        /// Reads the corrections.
        corrections Corrections Vec<exporter::CorrectionRow>;
    }

    /// Reads the minutes of the table `minutes` or `live`.
    pub fn minutes(
        &self,
        table: Table,
        mut take: impl FnMut(Vec<audience::MinuteRow>) -> Result<(), Problem>,
    ) -> Result<(), ReadError> {
        self.minutes_of_files(table, |_, rows| take(rows))
    }

    /// Reads the minutes of the table `minutes` or `live`, each batch with its file.
    pub fn minutes_of_files(
        &self,
        table: Table,
        mut take: impl FnMut(&FileEntry, Vec<audience::MinuteRow>) -> Result<(), Problem>,
    ) -> Result<(), ReadError> {
        for file in self.files(table) {
            let number = |id: &str| self.broadcasts.borrow_mut().number(id);
            for batch in self.open_file(table, file)?.minutes(number)? {
                take(file, batch?)?;
            }
        }
        Ok(())
    }

    /// Reads the log, each batch with the strings that it points to.
    pub fn events(
        &self,
        mut take: impl FnMut(Vec<LoggedEvent>, &audience::Details) -> Result<(), Problem>,
    ) -> Result<(), ReadError> {
        for file in self.files(Table::Events) {
            let number = |id: &str| self.broadcasts.borrow_mut().number(id);
            let source = |name: &str| self.sources.borrow_mut().number(name);
            for batch in self.open_file(Table::Events, file)?.events(number, source, fingerprint)? {
                let (rows, details) = batch?;
                take(rows, &details)?;
            }
        }
        Ok(())
    }

    /// Reads the rejected events.
    pub fn rejected(
        &self,
        mut take: impl FnMut(Vec<exporter::RejectedRow>) -> Result<(), Problem>,
    ) -> Result<(), ReadError> {
        for file in self.files(Table::Rejected) {
            for batch in self.open_file(Table::Rejected, file)?.rejected()? {
                take(batch?)?;
            }
        }
        Ok(())
    }

    /// Whether the directory keeps a table.
    pub fn keeps(&self, table: Table) -> bool {
        self.chains.iter().filter_map(Chain::newest).any(|newest| newest.tables.contains(table.name()))
    }

    /// The number of a broadcast.
    pub fn number_of(&self, broadcast_id: &str) -> u32 {
        self.broadcasts.borrow_mut().number(broadcast_id)
    }

    /// The number of a source.
    pub fn source_of(&self, source: &str) -> u32 {
        self.sources.borrow_mut().number(source)
    }

    /// The names of the sources met so far, by number.
    pub fn sources(&self) -> Vec<Arc<str>> {
        self.sources.borrow().list().to_vec()
    }

    /// The ids of the broadcasts met so far, by number.
    pub fn broadcast_ids(&self) -> Vec<Arc<str>> {
        self.broadcasts.borrow().list().to_vec()
    }
}

/// The ledger of two writers, each of which counts its own records.
fn sum(one: Ledger, other: Ledger) -> Ledger {
    Ledger {
        read: one.read + other.read,
        accepted: one.accepted + other.accepted,
        rejected: one.rejected + other.rejected,
        applied: one.applied + other.applied,
        repeated: one.repeated + other.repeated,
        orphaned: one.orphaned + other.orphaned,
        after_settle: one.after_settle + other.after_settle,
        not_yet_settled: one.not_yet_settled + other.not_yet_settled,
    }
}

/// Why a folder without a commit cannot be read: it lost its commits, or never was a data directory.
fn no_commit(dir: &Path, store: &Store) -> Problem {
    let dir = dir.display();
    let ours = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.ends_with(".parquet") && name.len() > 20 && name.bytes().take(20).all(|digit| digit.is_ascii_digit())
    };
    match refuse_data(store) {
        Err(StoreError::HoldsData { found, .. }) if ours(&found) => Problem::data(format!(
            "{dir} holds {found}, but the folder commits that says what it is has no commit. Restore that folder from a copy."
        )),
        _ => Problem::world(format!(
            "{dir} holds no commit: it is no data directory, or nothing was committed yet. \
             `jauge replay` and `jauge run` make one."
        )),
    }
}
