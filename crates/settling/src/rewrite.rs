//! The rewriting of settled tables: the rows of one broadcast taken out of the files that hold them, those of others
//! written anew as they were.

use audience::Names;
use audience::time::day_of;
use audience::{AiringRow, Details, MinuteRow, Ms, RetweetRow, SessionRow};
use exporter::{Passport, Table, TableFile, TableRows, TableWriter};
use problem::Problem;
use std::cell::RefCell;
use std::collections::BTreeMap;
use storage::{Commit, Committer, FileEntry, Folder, PartWriter, Removed, StoredFile, open_table};

/// The tables that a settlement writes.
pub(super) const SETTLED: [Table; 4] = [Table::Airings, Table::Minutes, Table::Sessions, Table::Retweets];

/// What a commit takes away.
#[derive(Debug, Default)]
pub(super) struct TakenAway {
    /// Files that are data no more.
    pub(super) removed: Vec<Removed>,
    /// Rows that stand in no file any more, by table.
    pub(super) dropped: BTreeMap<String, u64>,
}

/// Takes the rows of the broadcast `id` with an `airing_at` from `from` on out of the settled tables of `committer`;
/// what else is in their files goes to `commit`.
pub(super) fn without(committer: &Committer, commit: &Commit, id: &str, from: Ms) -> Result<TakenAway, Problem> {
    let mut taken = TakenAway::default();
    for table in SETTLED {
        let files: Vec<&FileEntry> = committer.chain().files_of(table.name()).collect();
        for file in files {
            let mut going = 0;
            read(table, open_table(committer.store(), table, file)?.of_broadcast(id), &mut |_| 0, |mut rows| {
                rows.retain(|_, airing_at| airing_at >= from);
                going += rows.rows().len() as u64;
                Ok(())
            })?;
            if going == 0 {
                continue;
            }
            let whole = open_table(committer.store(), table, file)?;
            let staying = write_others(table, whole, commit, id, from)?;
            if staying + going != file.rows {
                return Err(Problem::bug(format!(
                    "{} has {} rows, {staying} stay and {going} go.",
                    file.path, file.rows
                )));
            }
            taken.removed.push(Removed::from(file));
            *taken.dropped.entry(table.name().to_owned()).or_default() += going;
        }
    }
    Ok(taken)
}

/// Writes the rows of a file that stay, and gives their number.
fn write_others(
    table: Table,
    whole: TableFile<StoredFile>,
    commit: &Commit,
    id: &str,
    from: Ms,
) -> Result<u64, Problem> {
    let names = RefCell::new(Names::default());
    let ours = names.borrow_mut().number(id);
    let passport = Passport { commit: Some(commit.number().to_string()), ..whole.passport().clone() };
    let mut writer: Option<TableWriter<PartWriter>> = None;
    let mut staying = 0;
    read(table, whole, &mut |id| names.borrow_mut().number(id), |mut batch| {
        batch.retain(|broadcast, airing_at| broadcast != ours || airing_at < from);
        let Some(day) = batch.day() else { return Ok(()) };
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                let part = commit.part(table.name(), Folder::Day(day))?.rewritten();
                writer.insert(TableWriter::new(table, &passport, part)?)
            }
        };
        staying += batch.rows().len() as u64;
        Ok(writer.push(batch.rows(), names.borrow().list())?)
    })?;
    if let Some(writer) = writer {
        writer.finish()?.finish(staying)?;
    }
    Ok(staying)
}

/// Rows of a settled table.
enum Batch {
    Airings(Vec<AiringRow>),
    Minutes(Vec<MinuteRow>),
    Sessions(Vec<SessionRow>, Details),
    Retweets(Vec<RetweetRow>, Details),
}

impl Batch {
    /// Keeps the rows for whose broadcast and `airing_at` this holds.
    fn retain(&mut self, keep: impl Fn(u32, Ms) -> bool) {
        match self {
            Batch::Airings(rows) => rows.retain(|row| keep(row.broadcast, row.airing_at)),
            Batch::Minutes(rows) => rows.retain(|row| keep(row.broadcast, row.airing_at)),
            Batch::Sessions(rows, _) => rows.retain(|row| keep(row.broadcast, row.airing_at)),
            Batch::Retweets(rows, _) => rows.retain(|row| keep(row.broadcast, row.airing_at)),
        }
    }

    fn rows(&self) -> TableRows<'_> {
        match self {
            Batch::Airings(rows) => TableRows::Airings(rows),
            Batch::Minutes(rows) => TableRows::Minutes(rows),
            Batch::Sessions(rows, details) => TableRows::Sessions(rows, details),
            Batch::Retweets(rows, details) => TableRows::Retweets(rows, details),
        }
    }

    /// The day of its partition; `None` where it is empty.
    fn day(&self) -> Option<i64> {
        let at = match self {
            Batch::Airings(rows) => rows.first()?.airing_at,
            Batch::Minutes(rows) => rows.first()?.minute_at,
            Batch::Sessions(rows, _) => rows.first()?.joined_at,
            Batch::Retweets(rows, _) => rows.first()?.retweeted_at,
        };
        Some(day_of(at))
    }
}

/// Reads a file of a settled table.
fn read(
    table: Table,
    file: TableFile<StoredFile>,
    number: &mut dyn FnMut(&str) -> u32,
    mut take: impl FnMut(Batch) -> Result<(), Problem>,
) -> Result<(), Problem> {
    match table {
        Table::Airings => file.airings(number)?.try_for_each(|rows| take(Batch::Airings(rows?))),
        Table::Minutes => file.minutes(number)?.try_for_each(|rows| take(Batch::Minutes(rows?))),
        Table::Sessions => file.sessions(number)?.try_for_each(|rows| {
            let (rows, details) = rows?;
            take(Batch::Sessions(rows, details))
        }),
        Table::Retweets => file.retweets(number)?.try_for_each(|rows| {
            let (rows, details) = rows?;
            take(Batch::Retweets(rows, details))
        }),
        _ => Err(Problem::bug(format!("Table {table} does not settle."))),
    }
}
