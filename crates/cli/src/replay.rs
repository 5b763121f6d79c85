//! `jauge replay`: files of events in, a data directory with the settled tables out, in one commit.

use crate::args::ReplayArgs;
use crate::directory;
use crate::draw;
use crate::passport;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::reading::{Read, Reading};
use crate::settings::{LogFormat, Settings};
use crate::settling::{Budget, Gather, Output, Settled, settle_all, settlement, write_file};
use crate::terminal;
use aggregator::{Gaps, Rules};
use audience::{Ms, Registry};
use exporter::{Passport, RejectedRow, Table, TableRows, rejected_by_date};
use ingester::files::Files;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{Commit, CommitKind, Committer, Counts, Draft, Folder, Inputs, Ledger, Source};

/// `jauge replay`
pub(crate) fn command(args: &ReplayArgs) -> Result<(), Problem> {
    let settings = args.settings.load()?;
    let replayed = replay(&args.events, &settings)?;
    let Ledger { read, accepted, rejected, applied, repeated, orphaned, .. } = replayed.ledger;
    if args.json {
        return terminal::print_json(&serde_json::json!({ "ledger": replayed.ledger, "airings": replayed.airings }));
    }
    let n = draw::count;
    terminal::print(&format!(
        "{} events read: {} accepted ({} applied, {} repeated, {} orphaned), {} rejected. {} airings.\n\
         See them: jauge show {}\n",
        n(read),
        n(accepted),
        n(applied),
        n(repeated),
        n(orphaned),
        n(rejected),
        n(replayed.airings as u64),
        settings.needed_out()?
    ))
}

/// What a replay did, for the last words on the terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replayed {
    pub(crate) ledger: Ledger,
    pub(crate) airings: usize,
}

/// Replays `events` as `settings` say.
pub(crate) fn replay(events: &[PathBuf], settings: &Settings) -> Result<Replayed, Problem> {
    let out = settings.needed_out()?;
    let files = Files::open(events)?;
    let started_at = directory::now();
    let store = directory::create_empty(out)?;
    let (mut owner, mut keys) = directory::take(&store, settings, Committer::take_new)?;
    let registry = keys.registry()?;
    let commit = owner.begin();
    let job = Job { settings, files: &files, started_at, commit: &commit, registry: &registry };
    let (read, settled) = job.run(events, store.scratch())?;
    let draft = job.draft(&read, &settled);
    keys.append(&registry)?;
    owner.publish(&commit, &draft)?;
    Ok(Replayed { ledger: draft.ledger, airings: settled.iter().filter(|one| one.airing_at.is_some()).count() })
}

struct Job<'a> {
    settings: &'a Settings,
    files: &'a Files,
    started_at: Ms,
    commit: &'a Commit,
    registry: &'a Arc<Registry>,
}

impl Job<'_> {
    fn run(&self, events: &[PathBuf], spill: PathBuf) -> Result<(Read, Vec<Settled>), Problem> {
        // While files are read, what is not for events holds blocks and rejected rows; later rows and flows.
        let budget = Budget::alone(self.settings.memory_bytes, self.settings.lanes, spill);
        let tables = self.tables();
        let passport = passport::of_files(self.settings, events, self.commit.number());
        let gather = Gather::within(&budget);
        let progress = Progress::new("reading", self.files.bytes_total(), self.settings.log_format == LogFormat::Text);
        let reject = |rows: &mut Vec<RejectedRow>| self.reject(rows, &passport);
        let reading = Reading {
            files: self.files,
            paths: events,
            registry: self.registry,
            gather: &gather,
            threads: budget.threads,
            started_at: self.started_at,
            is_strict: self.settings.strict,
            redact: self.settings.rejected_redact,
            keep_rejected: tables.contains(&Table::Rejected),
            reject: &reject,
            rejected_bytes: budget.sink / 2,
            progress: &|| progress.reach(self.files.bytes_read()),
        };
        let read = reading.read()?;
        if let Some(row) = &read.refused {
            return Err(refused(row));
        }
        let gathered = gather.finish()?;
        let names = self.registry.ids();
        let output = Output::new(self.commit, &names, &passport, &tables, budget.sink);
        progress.now("settling");
        let settled =
            settle_all(&gathered, &read.timelines, &rules(self.settings), &Gaps::default(), budget.threads, || {
                output.sink()
            })?;
        output.finish()?;
        Ok((read, settled))
    }

    fn tables(&self) -> BTreeSet<Table> {
        self.settings.tables.iter().filter_map(|name| Table::of_name(name)).collect()
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
        let reasons = read.reasons.iter().map(|(reason, count)| (reason.word().to_owned(), *count)).collect();
        let sum = |of: fn(&Settled) -> i64| settled.iter().map(|one| of(one).unsigned_abs()).sum();
        Draft {
            tables: self.settings.tables.iter().cloned().collect(),
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
            settled: vec![settlement(settled, &self.registry.ids(), &rules(self.settings), self.commit.number())],
            settings: directory::settings_of_data(self.settings),
            ..Draft::first(CommitKind::Replay, self.started_at)
        }
    }
}

/// The rules that `settings` give.
pub(crate) fn rules(settings: &Settings) -> Rules {
    Rules {
        session_timeout: settings.session_timeout_ms,
        timeout_grace: settings.timeout_grace_ms,
        broadcast_idle: settings.broadcast_idle_ms,
    }
}

fn refused(row: &RejectedRow) -> Problem {
    Problem::data(format!(
        "{}: the event at byte {} is rejected: {}; --strict publishes nothing then. Mend the event, or leave --strict out: \
         then it is kept in the table rejected.",
        row.source, row.offset, row.rejection
    ))
}
