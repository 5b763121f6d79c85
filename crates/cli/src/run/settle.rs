//! The settling of a run: what is due, computed from the log that is committed, in a commit of its own.

use super::message::Settle;
use super::publisher::Publisher;
use crate::problem::Problem;
use crate::provenance;
use crate::settling::{Gather, Output, Settled, gaps_of, settle_all, settlement, write_file};
use crate::stored::open_table;
use audience::{Details, MinuteRow, Ms, fingerprint};
use exporter::{LoggedEvent, Table, TableRows, minutes_by_date};
use std::collections::BTreeMap;
use storage::{CommitKind, FileEntry, Folder};

impl Publisher {
    /// Settles in a commit of its own, from the events of the commits before it, with the live minutes that the end has closed. Gives the
    /// number of named airings; `None` where nothing was due.
    pub(super) fn settle(
        &mut self,
        settle: &Settle,
        watermark: Option<Ms>,
        live: &mut [MinuteRow],
    ) -> Result<Option<usize>, Problem> {
        let memory = self.options.memory();
        let threads = self.options.lanes;
        let rules = self.options.rules;
        let gather = Gather::new(memory / 4, self.committer.store().scratch());
        let mut timelines = self.gather_due(settle, &gather)?;
        if !settle.is_end {
            // An event may have come that makes the airing longer: then it is not over after all.
            let is_over = |last: Option<Ms>| {
                last.zip(watermark).is_none_or(|(last, watermark)| last + rules.broadcast_idle <= watermark)
            };
            timelines
                .iter_mut()
                .filter(|timeline| !is_over(timeline.last_sign()))
                .for_each(|timeline| *timeline = aggregator::Timeline::default());
        }
        let is_nothing = timelines.iter().all(|timeline| timeline.events() == 0);
        if is_nothing && live.is_empty() {
            return Ok(None);
        }
        let commit = self.committer.begin();
        let names = self.registry.ids();
        let passport = provenance::of_topics(&rules, self.options.lateness_ms, &self.options.topic, commit.number());
        let tables = [Table::Airings, Table::Minutes, Table::Sessions, Table::Retweets].into();
        let output = Output::new(&commit, &names, &passport, &tables, memory / (16 * threads));
        let gaps = gaps_of(self.committer.chain().lost());
        let settled = match is_nothing {
            true => Vec::new(),
            false => settle_all(&gather.finish()?, &timelines, &rules, &gaps, threads, || output.sink())?,
        };
        output.finish()?;
        for (day, rows) in minutes_by_date(live, &names) {
            write_file(&commit, Folder::Day(day), TableRows::Live(rows), &names, &passport)?;
        }
        let mut draft = self.draft(CommitKind::Run);
        let sum = |of: fn(&Settled) -> i64| settled.iter().map(|one| of(one).unsigned_abs()).sum::<u64>();
        let ledger = &mut draft.ledger;
        ledger.applied += sum(|one| one.tally.applied);
        ledger.repeated += sum(|one| one.tally.repeated);
        ledger.orphaned += sum(|one| one.tally.orphaned);
        ledger.not_yet_settled -= sum(|one| one.tally.total());
        // What is on air ends with the data: a later run that went on from before the end would close its minutes again.
        if settle.is_end {
            (draft.snapshot, draft.ended) = (None, Some(commit.number()));
        }
        if !is_nothing {
            draft.settled = vec![settlement(&settled, &names, &rules, commit.number() - 1)];
        }
        self.publish(&commit, &draft)?;
        Ok(Some(settled.iter().filter(|one| one.airing_at.is_some()).count()))
    }

    /// Feeds the unsettled events of what is due.
    fn gather_due(&self, settle: &Settle, gather: &Gather) -> Result<Vec<aggregator::Timeline>, Problem> {
        let frontiers = self.frontiers();
        // By broadcast: the unsettled events in [from, to) are fed.
        let mut due = BTreeMap::new();
        let names = self.registry.ids();
        for (number, id) in (0..).zip(&names) {
            let from = frontiers.get(&**id).copied().unwrap_or(Ms::MIN);
            if settle.is_end {
                due.insert(number, (from, Ms::MAX));
            } else if let Some(one) = settle.due.iter().find(|one| one.broadcast == number) {
                due.insert(number, (from, one.frontier));
            }
        }
        let mut feeder = gather.feeder();
        let files: Vec<FileEntry> = self.committer.chain().files_of(Table::Events.name()).cloned().collect();
        for file in &files {
            let number = |id: &str| self.registry.place(id);
            let table = open_table(self.committer.store(), Table::Events, file)?;
            for batch in table.events(number, |_| 0, fingerprint)? {
                let (rows, details): (Vec<LoggedEvent>, Details) = batch?;
                for row in &rows {
                    let is_due =
                        due.get(&row.event.broadcast).is_some_and(|(from, to)| (*from..*to).contains(&row.event.ts()));
                    if is_due {
                        feeder.push(&row.event, &details)?;
                    }
                }
            }
        }
        feeder.finish()
    }
}
