//! The status of a run, for those who ask over HTTP: what its loop shows of itself, as the dashboard tells it.

use crate::settings::Settings;
use dashboard::{CommitStatus, LiveCurve, PartitionStatus, Phase, Server, Status, Waiting};
use pipeline::{PartitionView, Said, Tell, View};
use problem::{Awaited, Problem};
use std::time::{Duration, Instant};
use storage::Ledger;

/// How often the status is told.
const EVERY: Duration = Duration::from_millis(250);

/// Who tells the status.
#[derive(Debug)]
pub(crate) struct Teller {
    /// `None` where nobody asks.
    server: Option<Server>,
    /// The status of a run that has not begun to read.
    starting: Status,
    told_at: Instant,
}

impl Teller {
    /// Begins to answer where `listen` is set: that the run is starting.
    pub(crate) fn start(settings: &Settings, tell: &Tell) -> Result<Teller, Problem> {
        let now = Instant::now();
        let starting = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: Phase::Starting,
            data_directory: settings.out.clone().unwrap_or_default(),
            waits_for: Vec::new(),
            commit: CommitStatus {
                number: 0,
                durable_at: now,
                interval: Duration::from_millis(settings.commit_interval_ms.unsigned_abs()),
                took: Duration::ZERO,
                airings_settled: 0,
            },
            ledger: Ledger::default(),
            live: LiveCurve::default(),
            partitions: Vec::new(),
            told_at: now,
        };
        let mut teller = Teller { server: None, starting, told_at: now };
        if let Some(address) = &settings.listen {
            let server = Server::start(address, teller.starting.clone())?;
            let at = server.address();
            tell(Said::Info(format!("Answering on http://{at}/livez, /readyz, /status and /metrics.")));
            teller.server = Some(server);
        }
        Ok(teller)
    }

    /// Tells the status, if somebody may ask and it was not told just now.
    pub(crate) fn show(&mut self, view: &View<'_>) {
        let is_due = self.told_at.elapsed() >= EVERY || view.is_stopping;
        if let Some(server) = self.server.as_ref().filter(|_| is_due) {
            server.tell(self.status(view));
            self.told_at = Instant::now();
        }
    }

    fn status(&self, view: &View<'_>) -> Status {
        let Status { version, data_directory, commit, .. } = self.starting.clone();
        let standing = view.live.standing();
        let broker = view.away_since.map(|_| Waiting::Broker);
        let clock = view.doubts_clock.then_some(Waiting::Clock);
        Status {
            version,
            phase: if view.is_stopping { Phase::Stopping } else { Phase::Running },
            data_directory,
            waits_for: [broker, view.awaited.map(waiting), clock].into_iter().flatten().collect(),
            commit: CommitStatus {
                number: view.commit,
                durable_at: view.durable.at,
                took: view.durable.took,
                airings_settled: view.durable.airings_settled,
                ..commit
            },
            ledger: view.ledger,
            live: LiveCurve {
                watermark: view.live.watermark(),
                sessions_open: standing.iter().map(|one| one.viewers).sum(),
                distinct_open: standing.iter().map(|one| one.distinct).sum(),
                broadcasts: standing.len() as u64,
                uncommitted_bytes: view.cut_bytes,
                held_bytes: view.held_bytes,
            },
            partitions: view.partitions().map(partition).collect(),
            told_at: Instant::now(),
        }
    }
}

fn waiting(awaited: Awaited) -> Waiting {
    match awaited {
        Awaited::Room => Waiting::Room,
        Awaited::Store => Waiting::Store,
        Awaited::RejectedTopic => Waiting::RejectedTopic,
        Awaited::Clock => Waiting::Clock,
    }
}

fn partition(of: PartitionView<'_>) -> PartitionStatus {
    PartitionStatus {
        topic: of.topic.to_owned(),
        partition: of.partition,
        position: of.position,
        durable: of.durable,
        high_watermark: of.high_watermark,
        watermark: of.watermark,
        state: of.state,
        paused: of.is_paused,
    }
}
