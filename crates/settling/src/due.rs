//! What is due in a run: airings that are over settle from the log that is committed, in a commit of their own. It is
//! made ready here, and published by whoever owns the directory.

use super::budget::Budget;
use super::engine::settle;
use super::gather::Gather;
use super::settled::{Settled, settlement};
use super::sink::{Output, write_file};
use aggregator::{Due, Frontier, Rules, Timeline};
use audience::{Details, MinuteRow, Ms, Registry, fingerprint};
use exporter::{LoggedEvent, Passport, Table, TableRows, minutes_by_date};
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::open_table;
use storage::{Commit, Committer, Draft, FileEntry, Folder};

/// What to settle after a cut is committed.
#[derive(Clone, Debug)]
pub struct Settle {
    /// The broadcasts whose airings are over, by the watermark of the cut.
    pub due: Vec<Due>,
    /// The data end here: every airing is over, whatever the watermark says.
    pub is_end: bool,
}

/// Who settles what is due, and by what.
#[expect(missing_debug_implementations, reason = "it holds two closures, and lives for one call")]
pub struct Settler<'a> {
    /// The directory, of which the log is read and a commit begun.
    pub committer: &'a Committer,
    /// The numbers of the broadcasts.
    pub registry: &'a Registry,
    /// By which they settle.
    pub rules: Rules,
    /// What of the machine may be used.
    pub budget: &'a Budget,
    /// The passport of the files of a commit, by its number.
    pub passport: &'a dyn Fn(u64) -> Passport,
    /// A draft by which all stays as it was.
    pub draft: &'a dyn Fn() -> Draft,
}

/// Settles in a commit of its own, from the events of the commits before it, with the live minutes that the end has
/// closed. Gives the commit, which is to be published, and what settled; `None` where nothing was due.
///
/// # Errors
/// The log cannot be read, or the disk refuses.
pub fn settle_due(
    settler: &Settler<'_>,
    what: &Settle,
    live: &mut [MinuteRow],
) -> Result<Option<(Commit, Draft, Vec<Settled>)>, Problem> {
    let Settler { committer, registry, rules, budget, .. } = settler;
    let names = registry.ids();
    let commit = committer.begin();
    let passport = (settler.passport)(commit.number());
    let tables = [Table::Airings, Table::Minutes, Table::Sessions, Table::Retweets].into();
    let output = Output::new(&commit, &names, &passport, &tables, budget.sink);
    let feed = |gather: &Gather| settler.gather(what, &names, gather);
    let gaps = storage::gaps_of(committer.chain().lost());
    let settled = settle(feed, rules, &gaps, budget, || output.sink())?;
    if settled.is_empty() && live.is_empty() {
        return Ok(None);
    }
    output.finish()?;
    for (day, rows) in minutes_by_date(live, &names) {
        write_file(&commit, Folder::Day(day), TableRows::Live(rows), &names, &passport)?;
    }
    let mut draft = (settler.draft)();
    let sum = |of: fn(&Settled) -> i64| settled.iter().map(|one| of(one).unsigned_abs()).sum::<u64>();
    let ledger = &mut draft.ledger;
    ledger.applied += sum(|one| one.tally.applied);
    ledger.repeated += sum(|one| one.tally.repeated);
    ledger.orphaned += sum(|one| one.tally.orphaned);
    ledger.not_yet_settled -= sum(|one| one.tally.total());
    // What is on air ends with the data: a later run that went on from before the end would close its minutes again.
    if what.is_end {
        (draft.snapshot, draft.ended) = (None, Some(commit.number()));
    }
    if !settled.is_empty() {
        draft.settled = vec![settlement(&settled, &names, rules, commit.number() - 1)];
    }
    Ok(Some((commit, draft, settled)))
}

impl Settler<'_> {
    /// Feeds the unsettled events of what is due, and gives the timelines of what may settle. `names` are the
    /// broadcasts by number.
    fn gather(&self, what: &Settle, names: &[Arc<str>], gather: &Gather) -> Result<Vec<Timeline>, Problem> {
        let ends = what.due.iter().map(|one| (one.broadcast, one.frontier.at));
        let ends = if what.is_end {
            (0..).zip(names).map(|(number, _)| (number, Ms::MAX)).collect()
        } else {
            ends.collect::<Vec<_>>()
        };
        // By broadcast: the unsettled events in [from, to] are fed. One at the frontier itself tells why it lies there.
        let from = |number: u32| self.committer.chain().frontier(&names[number as usize]);
        let due: BTreeMap<u32, (Frontier, Ms)> =
            ends.into_iter().map(|(number, to)| (number, (from(number), to))).collect();
        let mut feeder = gather.feeder();
        let files: Vec<FileEntry> = self.committer.chain().files_of(Table::Events.name()).cloned().collect();
        for file in &files {
            let number = |id: &str| self.registry.place(id);
            let table = open_table(self.committer.store(), Table::Events, file)?;
            for batch in table.events(number, |_| 0, fingerprint)? {
                let (rows, details): (Vec<LoggedEvent>, Details) = batch?;
                for row in &rows {
                    let of_it = due.get(&row.event.broadcast);
                    if of_it.is_some_and(|(from, to)| (from.at..=*to).contains(&row.event.ts())) {
                        feeder.push(&row.event, &details)?;
                    }
                }
            }
        }
        let mut timelines = feeder.finish()?;
        for (number, timeline) in (0..).zip(&mut timelines) {
            if let Some((from, to)) = due.get(&number) {
                timeline.begin_at(*from);
                // An event may have come that makes an airing longer: then it is not over after all.
                timeline.only_over(*to);
            }
        }
        Ok(timelines)
    }
}
