//! A replay: files of events in, a data directory with the settled tables out, in one commit.

use super::options::Options;
use super::reading::{Read, Reading};
use super::rejects::RejectedFile;
use super::said::{Said, Tell};
use aggregator::{Gaps, Tally};
use audience::{Guise, Ms, Registry, flaw};
use exporter::{Passport, RejectedRow, Table, TableRows, rejected_by_date};
use ingester::files::Files;
use problem::Problem;
use settling::{Budget, Gather, Output, Settled, settle_all, settlement, write_file};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use storage::directory;
use storage::provenance;
use storage::{Commit, CommitKind, Committer, Counts, Draft, Folder, Inputs, Ledger, Source};

/// What a replay did.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// What became of its events.
    pub ledger: Ledger,
    /// Airings that settled.
    pub airings: usize,
    /// What became of its accepted events.
    pub tally: Tally,
    /// The files of which events were rejected, those with the most first.
    pub rejected: Vec<RejectedFile>,
}

/// Replays the files `events`. `tell` is told how far it is.
pub fn replay(events: &[PathBuf], options: &Options, tell: &Tell) -> Result<Replayed, Problem> {
    let files = Files::open(events)?;
    let started_at = directory::now();
    let store = directory::create_empty(&options.out)?;
    let warn = |said| tell(Said::Warning(said));
    let (mut committer, mut keys) =
        directory::take(&store, &options.recorded, &options.keys, &warn, Committer::take_new)?;
    let registry = keys.registry()?;
    let commit = committer.begin();
    let job = Job { options, tell, files: &files, started_at, commit: &commit, registry: &registry };
    let (read, settled) = job.run(events, store.scratch())?;
    let draft = job.draft(&read, &settled);
    keys.append(&registry)?;
    committer.publish(&commit, &draft)?;
    let airings = settled.iter().filter(|one| one.airing_at.is_some()).count();
    let name = |source| files.path(source).unwrap_or_default().to_owned();
    Ok(Replayed {
        ledger: draft.ledger,
        airings,
        tally: settled.iter().map(|one| one.tally).sum(),
        rejected: read.rejects.files(name, &read.counts),
    })
}

struct Job<'a> {
    options: &'a Options,
    tell: &'a Tell,
    files: &'a Files,
    started_at: Ms,
    commit: &'a Commit,
    registry: &'a Arc<Registry>,
}

impl Job<'_> {
    fn run(&self, events: &[PathBuf], spill: PathBuf) -> Result<(Read, Vec<Settled>), Problem> {
        // While files are read, what is not for events holds blocks and rejected rows; later rows and flows.
        let budget = Budget::alone(self.options.memory_bytes, self.options.lanes, spill);
        let tables = self.tables();
        let passport = provenance::of_files(&self.options.rules, events, self.commit.number());
        let gather = Gather::within(&budget);
        let of = self.files.bytes_total();
        let progress = || (self.tell)(Said::Read { bytes: self.files.bytes_read(), of });
        progress();
        let reject = |rows: &mut Vec<RejectedRow>| self.reject(rows, &passport);
        let reading = Reading {
            files: self.files,
            paths: events,
            registry: self.registry,
            gather: &gather,
            threads: budget.threads,
            started_at: self.started_at,
            is_strict: self.options.strict,
            redact: self.options.rejected_redact,
            keep_rejected: tables.contains(&Table::Rejected),
            reject: &reject,
            rejected_bytes: budget.sink / 2,
            progress: &progress,
        };
        let read = reading.read()?;
        if let Some(row) = &read.refused {
            return Err(refused(row));
        }
        let gathered = gather.finish()?;
        let names = self.registry.ids();
        let output = Output::new(self.commit, &names, &passport, &tables, budget.sink);
        (self.tell)(Said::Now("settling"));
        let settled =
            settle_all(&gathered, &read.timelines, &self.options.rules, &Gaps::default(), budget.threads, || {
                output.sink()
            })?;
        output.finish()?;
        Ok((read, settled))
    }

    fn tables(&self) -> BTreeSet<Table> {
        self.options.tables.iter().filter_map(|name| Table::of_name(name)).collect()
    }

    fn reject(&self, rows: &mut Vec<RejectedRow>, passport: &Passport) -> Result<(), Problem> {
        for (day, rows) in rejected_by_date(rows) {
            write_file(self.commit, Folder::Day(day), TableRows::Rejected(rows), &[], passport)?;
        }
        rows.clear();
        Ok(())
    }

    fn draft(&self, read: &Read, settled: &[Settled]) -> Draft {
        let (accepted, rejected) = (read.accepted(), read.rejected());
        let reports = self.files.sources();
        let sources = reports.into_iter().zip(&read.counts).map(|(report, counts)| Source {
            path: report.path_as_given,
            bytes: report.bytes,
            crc64: format!("{:016x}", report.crc64),
            accepted: counts.accepted,
            rejected: counts.rejected,
        });
        let reasons = read.rejects.reasons();
        let reasons = reasons.iter().map(|(reason, count)| (reason.word().to_owned(), *count)).collect();
        let sum = |of: fn(&Settled) -> i64| settled.iter().map(|one| of(one).unsigned_abs()).sum();
        Draft {
            tables: self.options.tables.iter().cloned().collect(),
            inputs: Inputs { sources: sources.collect(), ..Inputs::default() },
            counts: Counts { read: accepted + rejected, accepted, rejected, reasons },
            ledger: Ledger {
                read: accepted + rejected,
                accepted,
                rejected,
                applied: sum(|one| one.tally.applied),
                repeated: sum(|one| one.tally.repeated),
                orphaned: sum(|one| one.tally.orphaned),
                after_settle: 0,
                not_yet_settled: 0,
            },
            silenced: sum(|one| one.tally.silenced),
            settled: vec![settlement(settled, &self.registry.ids(), &self.options.rules, self.commit.number())],
            settings: self.options.recorded.clone(),
            ..Draft::first(CommitKind::Replay, self.started_at)
        }
    }
}

fn refused(row: &RejectedRow) -> Problem {
    let payload = row.payload.as_deref().unwrap_or_default();
    let seems = Guise::of(payload).map(|guise| format!(" It seems to be {guise}."));
    let seems = seems.or_else(|| flaw(row.rejection, payload).map(|flaw| format!(" {flaw}"))).unwrap_or_default();
    Problem::data(format!(
        "{}: the event at byte {} is rejected: {}; --strict publishes nothing then.{seems} Mend the event, or leave --strict out: \
         then it is kept in the table rejected.",
        row.source, row.offset, row.rejection
    ))
}
