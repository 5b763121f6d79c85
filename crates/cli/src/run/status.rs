//! What a run tells of itself: its status, for those who ask over HTTP.

use super::lane::Progress;
use super::logline;
use super::owner::{LaneHandle, Owner};
use super::writer::Written;
use crate::problem::{Awaited, Problem};
use crate::settings::Settings;
use crate::settling::lock;
use aggregator::PartitionState;
use dashboard::{Commit, LiveCurve, Partition, Phase, Server, Status};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use storage::Ledger;

/// How often the status is told.
const EVERY: Duration = Duration::from_millis(250);

/// Who tells the status, and what only the status needs to know.
#[derive(Debug)]
pub(super) struct Teller {
    /// `None` where nobody asks.
    server: Option<Server>,
    told_at: Instant,
    /// When that was cut which is durable now.
    durable_at: Instant,
    /// Next offsets of that cut, by index of the partition.
    durable: BTreeMap<usize, i64>,
    took: Duration,
    airings_settled: u64,
    /// Whether the brokers are away, and since when.
    pub(super) away_since: Option<Instant>,
    /// What the writer waits for.
    pub(super) awaited: Arc<Mutex<Option<Awaited>>>,
}

impl Teller {
    /// Begins to answer where `listen` is set: that the run is starting.
    pub(super) fn start(settings: &Settings) -> Result<Teller, Problem> {
        let now = Instant::now();
        let mut teller = Teller {
            server: None,
            told_at: now,
            durable_at: now,
            durable: BTreeMap::new(),
            took: Duration::ZERO,
            airings_settled: 0,
            away_since: None,
            awaited: Arc::default(),
        };
        if let Some(address) = &settings.listen {
            let server = Server::start(address, teller.status(settings, Phase::Starting))?;
            let at = server.address();
            let text = format!("Answering on http://{at}/livez, /readyz, /status and /metrics.");
            logline::say(settings.log_format, &logline::info(&text));
            teller.server = Some(server);
        }
        Ok(teller)
    }

    /// From now on it reads, from these offsets.
    pub(super) fn begin(&mut self, from: impl Iterator<Item = (usize, i64)>) {
        self.durable.extend(from);
        self.durable_at = Instant::now();
    }

    /// What was cut at `cut_at`, up to the offsets `cut_to`, is durable.
    pub(super) fn written(&mut self, written: &Written, cut_at: Instant, cut_to: &[(usize, i64)]) {
        self.durable.extend(cut_to.iter().copied());
        (self.durable_at, self.took) = (cut_at, cut_at.elapsed());
        self.airings_settled += written.airings as u64;
    }

    /// What is known without an owner.
    fn status(&self, settings: &Settings, phase: Phase) -> Status {
        let broker = self.away_since.map(|_| "the broker");
        let waits_for = broker.into_iter().chain(lock(&self.awaited).map(Awaited::words)).map(str::to_owned).collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase,
            data_directory: settings.out.clone().unwrap_or_default(),
            waits_for,
            commit: Commit {
                number: 0,
                durable_at: self.durable_at,
                interval: Duration::from_millis(settings.commit_interval_ms.unsigned_abs()),
                took: self.took,
                airings_settled: self.airings_settled,
            },
            ledger: dashboard::Ledger::default(),
            live: LiveCurve::default(),
            partitions: Vec::new(),
            told_at: Instant::now(),
        }
    }
}

impl Owner<'_> {
    /// Tells the status, if somebody may ask and it was not told just now.
    pub(super) fn tell(&mut self, phase: Phase) {
        let is_due = self.teller.told_at.elapsed() >= EVERY || phase == Phase::Stopping;
        if let Some(server) = self.teller.server.as_ref().filter(|_| is_due) {
            server.tell(self.status(phase));
            self.teller.told_at = Instant::now();
        }
    }

    fn status(&self, phase: Phase) -> Status {
        let mut status = self.teller.status(self.settings, phase);
        status.commit.number = self.state.written.commit;
        status.ledger = ledger(self.state.written.ledger);
        let standing = self.live.standing();
        status.live = LiveCurve {
            watermark: self.live.watermark(),
            sessions_open: standing.iter().map(|one| one.viewers).sum(),
            broadcasts: standing.len() as u64,
            uncommitted_bytes: sum_of(&self.lanes, |progress| progress.lane_bytes),
            held_bytes: sum_of(&self.lanes, |progress| progress.held_bytes),
        };
        status.partitions = self.partitions.keys().map(|index| self.status_of(*index)).collect();
        status
    }

    fn status_of(&self, index: usize) -> Partition {
        let partition = &self.partitions[&index];
        let progress = self.state.progress.get(&index);
        Partition {
            topic: partition.info.topic.to_string(),
            partition: partition.info.partition,
            position: progress.map_or(partition.from, |progress| progress.next),
            durable: self.teller.durable.get(&index).copied().unwrap_or(partition.from),
            high_watermark: progress.and_then(|progress| progress.high),
            watermark: self.watermarks.of(index),
            state: match self.watermarks.state(index) {
                PartitionState::Reading => "reading",
                PartitionState::Idle => "idle",
                PartitionState::Unread => "unread",
                PartitionState::OpenTransaction => "open_transaction",
            }
            .to_owned(),
            paused: self.state.paused.contains(&index),
        }
    }
}

/// What all lanes hold together: each says it in every of its partitions.
pub(super) fn sum_of(lanes: &[LaneHandle], of: impl Fn(&Progress) -> usize) -> u64 {
    lanes.iter().filter_map(|lane| lock(&lane.progress).values().next().map(&of)).sum::<usize>() as u64
}

fn ledger(of: Ledger) -> dashboard::Ledger {
    let Ledger { read, accepted, rejected, applied, repeated, orphaned, after_settle, not_yet_settled } = of;
    dashboard::Ledger { read, accepted, rejected, applied, repeated, orphaned, after_settle, not_yet_settled }
}
