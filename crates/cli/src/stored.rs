//! The stored tables of a data directory: the files that the last commit names, read in batches. Broadcasts are numbered as they are met.

use crate::directory::{self, WRITER};
use crate::problem::Problem;
use audience::fingerprint;
use exporter::{LoggedEvent, Table, TableFile};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{Chain, FileEntry, Store, StoreError, StoredFile, refuse_data};

/// A data directory that is read.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) store: Store,
    pub(crate) chain: Chain,
    /// Rows of other broadcasts are passed over.
    only: Option<String>,
    broadcasts: RefCell<Names>,
    sources: RefCell<Names>,
}

/// Numbers for names, in the order in which they are met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name; a new one where it has none.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = Arc::from(name);
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        number
    }

    /// The names, by number.
    pub(crate) fn list(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// Where a file of the last commit lies, as a path or a URL: after a crash just behind the commit it has not got its name yet.
pub(crate) fn path_of(store: &Store, file: &FileEntry) -> PathBuf {
    let (named, part) = (store.path(&file.path), store.path(&part_of(file)));
    if store.is_local() && !named.exists() && part.exists() { part } else { named }
}

fn part_of(file: &FileEntry) -> String {
    format!("{}.part", file.path)
}

/// Opens one file of a table.
pub(crate) fn open_table(store: &Store, table: Table, file: &FileEntry) -> Result<TableFile<StoredFile>, Problem> {
    let mut opened = store.read(&file.path)?;
    if opened.is_none() && store.is_local() {
        opened = store.read(&part_of(file))?;
    }
    let path = store.path(&file.path);
    let opened = opened.ok_or_else(|| {
        Problem::data(format!(
            "{} is missing, though a commit names it. Restore it from a copy of the data directory.",
            path.display()
        ))
    })?;
    Ok(TableFile::open(table, &path.display().to_string(), opened)?)
}

/// Defines a reader of one table: each batch goes to a function.
macro_rules! tables {
    ($($(#[$doc:meta])* $reader:ident $table:ident $rows:ty;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $reader(&self, mut take: impl FnMut($rows) -> Result<(), Problem>) -> Result<(), Problem> {
            for file in self.chain.files_of(Table::$table.name()) {
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
    pub(crate) fn open(dir: &Path) -> Result<Stored, Problem> {
        let store = directory::open(dir)?;
        let chain = Chain::open(&store, WRITER)?;
        if chain.newest().is_none() {
            return Err(no_commit(dir, &store));
        }
        Ok(Stored { store, chain, only: None, broadcasts: RefCell::default(), sources: RefCell::default() })
    }

    /// Opens a data directory and does something with it; once more where a run has meanwhile put other files in the place of those that it names.
    pub(crate) fn read<T>(dir: &Path, act: impl Fn(Stored) -> Result<T, Problem>) -> Result<T, Problem> {
        loop {
            let stored = Stored::open(dir)?;
            let number = stored.chain.number();
            match act(stored) {
                Err(problem) if problem.code == 4 && Stored::open(dir)?.chain.number() != number => {}
                done => return done,
            }
        }
    }

    /// From here on only the rows of one broadcast are read, and files that cannot hold any are passed over. Rejected events have none.
    #[must_use]
    pub(crate) fn of_broadcast(self, broadcast_id: &str) -> Stored {
        Stored { only: Some(broadcast_id.to_owned()), ..self }
    }

    fn open_file(&self, table: Table, file: &FileEntry) -> Result<TableFile<StoredFile>, Problem> {
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
    pub(crate) fn minutes(
        &self,
        table: Table,
        mut take: impl FnMut(Vec<audience::MinuteRow>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.minutes_of_files(table, |_, rows| take(rows))
    }

    /// The same, each batch with its file.
    pub(crate) fn minutes_of_files(
        &self,
        table: Table,
        mut take: impl FnMut(&FileEntry, Vec<audience::MinuteRow>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        for file in self.chain.files_of(table.name()) {
            let number = |id: &str| self.broadcasts.borrow_mut().number(id);
            for batch in self.open_file(table, file)?.minutes(number)? {
                take(file, batch?)?;
            }
        }
        Ok(())
    }

    /// Reads the log, each batch with the strings that it points to.
    pub(crate) fn events(
        &self,
        mut take: impl FnMut(Vec<LoggedEvent>, &audience::Details) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        for file in self.chain.files_of(Table::Events.name()) {
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
    pub(crate) fn rejected(
        &self,
        mut take: impl FnMut(Vec<exporter::RejectedRow>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        for file in self.chain.files_of(Table::Rejected.name()) {
            for batch in self.open_file(Table::Rejected, file)?.rejected()? {
                take(batch?)?;
            }
        }
        Ok(())
    }

    /// Whether the directory keeps a table.
    pub(crate) fn keeps(&self, table: Table) -> bool {
        self.chain.newest().is_some_and(|newest| newest.tables.contains(table.name()))
    }

    /// The number of a broadcast.
    pub(crate) fn number_of(&self, broadcast_id: &str) -> u32 {
        self.broadcasts.borrow_mut().number(broadcast_id)
    }

    /// The number of a source.
    pub(crate) fn source_of(&self, source: &str) -> u32 {
        self.sources.borrow_mut().number(source)
    }

    /// The names of the sources met so far, by number.
    pub(crate) fn sources(&self) -> Vec<Arc<str>> {
        self.sources.borrow().names.clone()
    }

    /// The ids of the broadcasts met so far, by number.
    pub(crate) fn broadcast_ids(&self) -> Vec<Arc<str>> {
        self.broadcasts.borrow().names.clone()
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
