//! The numbers for Prometheus: base units, `_total` for what only grows, and never a label by broadcast, of which there
//! are too many.

use crate::{
    process::Process,
    status::{PartitionStatus, Phase, Status, Waiting},
};
use aggregator::PartitionState;
use audience::Ms;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// What is summed up over the life of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    commit_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
        Metrics { commit_seconds: Histogram::new(bounds) }
    }
}

impl Metrics {
    /// A commit took so long, from its cut until it was durable.
    pub(crate) fn commit_took(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// All numbers, in the text form of OpenMetrics.
    pub(crate) fn text(&self, status: &Status, now: Instant) -> String {
        let mut registry = Registry::with_prefix("jauge");
        let about = "How long a commit took, from its cut until it was durable";
        registry.register_with_unit("commit_duration", about, Unit::Seconds, self.commit_seconds.clone());
        registry.register_collector(Box::new(Numbers { status: status.clone(), now }));
        let mut plain = Registry::default();
        plain.register_collector(Box::new(OfProcess(Process::now())));
        let (mut text, mut process) = (String::new(), String::new());
        // Writing to a string cannot fail.
        let _ = encode(&mut process, &plain);
        let _ = encode(&mut text, &registry);
        // Each ends with the mark of the end.
        process.truncate(process.len() - "# EOF\n".len());
        process + &text
    }
}

#[derive(Debug)]
struct OfProcess(Option<Process>);

impl Collector for OfProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(process) = self.0 else { return Ok(()) };
        let mut family = Families(&mut encoder);
        family.gauge("process_resident_memory_bytes", "Memory in RAM", process.resident_bytes)?;
        family.gauge("process_open_fds", "Open file descriptors", process.open_fds)?;
        family.counter_seconds("process_cpu", "CPU used, user and system", process.cpu_seconds)
    }
}

/// The status as numbers.
#[derive(Debug)]
struct Numbers {
    status: Status,
    now: Instant,
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.status;
        let mut family = Families(&mut encoder);
        let version = [("version", status.version.clone())];
        family.labelled("build_info", "The version that runs", [(version, 1)])?;
        let is = |yes: bool| i64::from(yes);
        family.gauge("ready", "1 where /readyz says ok", is(status.not_ready(self.now).is_empty()))?;
        let waiting =
            Waiting::LABELS.map(|(one, label)| ([("for", label.to_owned())], is(status.waits_for.contains(&one))));
        family.labelled("waiting", "1 while it waits for what it cannot do without", waiting)?;
        family.gauge("stopping", "1 from the signal to the end", is(status.phase == Phase::Stopping))?;
        commits(&mut family, status, self.now)?;
        live(&mut family, status)?;
        partitions(&mut family, &status.partitions)
    }
}

fn commits(family: &mut Families<'_, '_>, status: &Status, now: Instant) -> fmt::Result {
    let ledger = status.ledger;
    let outcomes = [("accepted", ledger.accepted), ("rejected", ledger.rejected)];
    let records = outcomes.map(|(outcome, count)| ([("outcome", outcome.to_owned())], count));
    family.counters("records", "Committed records, by what became of them", records)?;
    let events = [
        ("applied", ledger.applied),
        ("repeated", ledger.repeated),
        ("orphaned", ledger.orphaned),
        ("after_settle", ledger.after_settle),
        ("not_yet_settled", ledger.not_yet_settled),
    ];
    let events = events.map(|(state, count)| ([("state", state.to_owned())], signed(count)));
    family.labelled("events", "Accepted events, by where the ledger has them", events)?;
    family.counter("airings_settled", "Airings that settled since the start", status.commit.airings_settled)?;
    family.gauge("commit_number", "Number of the newest commit", signed(status.commit.number))?;
    let age = now.duration_since(status.commit.durable_at).as_secs_f64();
    family.seconds("commit_age", "Since that was read which is durable now", age)
}

fn live(family: &mut Families<'_, '_>, status: &Status) -> fmt::Result {
    let live = status.live;
    if let Some(watermark) = live.watermark {
        family.seconds(
            "watermark_timestamp",
            "The watermark over all partitions, since the Unix epoch",
            seconds(watermark),
        )?;
    }
    family.gauge("sessions_open", "Open sessions at the watermark", live.sessions_open)?;
    let about = "Distinct viewers with an open session at the watermark, those of each broadcast";
    family.gauge("distinct_open", about, live.distinct_open)?;
    family.gauge("broadcasts_on_air", "Broadcasts with an airing that is not over", signed(live.broadcasts))?;
    family.gauge("uncommitted_bytes", "Read and not yet handed to the writer", signed(live.uncommitted_bytes))?;
    family.gauge("held_bytes", "Events that the watermark has not passed", signed(live.held_bytes))
}

fn partitions(family: &mut Families<'_, '_>, partitions: &[PartitionStatus]) -> fmt::Result {
    let each = |of: fn(&PartitionStatus) -> Option<i64>| {
        partitions.iter().filter_map(move |one| Some((labels(one), of(one)?))).collect::<Vec<_>>()
    };
    family.labelled("offset_position", "Next offset to read", each(|one| Some(one.position)))?;
    family.labelled("offset_durable", "Next offset after what is committed", each(|one| Some(one.durable)))?;
    let about = "The offset after the last record, as the client last saw it";
    family.labelled("offset_high_watermark", about, each(|one| one.high_watermark))?;
    family.labelled("lag_records", "Records not yet read", each(PartitionStatus::lag))?;
    family.labelled("durable_lag_records", "Records not yet durable here", each(PartitionStatus::durable_lag))?;
    let about = "1 where it does not hold the live curve back: read to its end, and silent";
    family.labelled("partition_idle", about, each(|one| Some(i64::from(one.state == PartitionState::Idle))))?;
    family.labelled("partition_paused", "1 while it waits for the others", each(|one| Some(i64::from(one.paused))))?;
    let watermarks = partitions.iter().filter_map(|one| Some((labels(one), seconds(one.watermark?))));
    family.labelled("partition_watermark_timestamp_seconds", "Its watermark, since the Unix epoch", watermarks)
}

fn labels(partition: &PartitionStatus) -> [(&'static str, String); 2] {
    [("topic", partition.topic.clone()), ("partition", partition.partition.to_string())]
}

#[expect(clippy::cast_precision_loss, reason = "instants of this century have 42 bits")]
fn seconds(at: Ms) -> f64 {
    at as f64 / 1000.0
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes families of one kind each.
struct Families<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn gauge(&mut self, name: &str, about: &str, value: i64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, about, None, gauge.metric_type())?)
    }

    fn seconds(&mut self, name: &str, about: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, about, Some(&Unit::Seconds), gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, about: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, about, None, counter.metric_type())?)
    }

    fn counter_seconds(&mut self, name: &str, about: &str, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, about, Some(&Unit::Seconds), counter.metric_type())?)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        about: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); N], u64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family = self.0.encode_descriptor(name, about, None, kind)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Gauges by label.
    fn labelled<const N: usize, V>(
        &mut self,
        name: &str,
        about: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); N], V)>,
    ) -> fmt::Result
    where
        ConstGauge<V>: EncodeMetric,
    {
        let kind = ConstGauge::new(0i64).metric_type();
        let mut family = self.0.encode_descriptor(name, about, None, kind)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::status;

    #[test]
    fn the_numbers_are_those_of_the_status() {
        let now = Instant::now();
        let metrics = Metrics::default();
        metrics.commit_took(Duration::from_millis(300));
        let text = metrics.text(&status(now), now + Duration::from_secs(2));
        for line in [
            "jauge_build_info{version=\"1.2.3\"} 1",
            "jauge_ready 1",
            "jauge_records_total{outcome=\"accepted\"} 9",
            "jauge_records_total{outcome=\"rejected\"} 1",
            "jauge_events{state=\"not_yet_settled\"} 5",
            "jauge_commit_number 7",
            "jauge_commit_age_seconds 2.0",
            "jauge_commit_duration_seconds_count 1",
            "jauge_commit_duration_seconds_bucket{le=\"0.5\"} 1",
            "jauge_watermark_timestamp_seconds 1459711860.007",
            "jauge_sessions_open 81000",
            "jauge_distinct_open 79500",
            "jauge_lag_records{topic=\"audience\",partition=\"3\"} 30",
            "jauge_durable_lag_records{topic=\"audience\",partition=\"3\"} 50",
            "jauge_partition_paused{topic=\"audience\",partition=\"3\"} 1",
            "jauge_waiting{for=\"broker\"} 0",
        ] {
            assert!(text.lines().any(|said| said == line), "no {line}:\n{text}");
        }
        assert!(!text.contains("partition_watermark_timestamp_seconds{"), "it has none yet:\n{text}");
        assert_eq!((text.matches("# EOF").count(), text.ends_with("# EOF\n")), (1, true));
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_cpu_seconds_total ") && text.contains("process_resident_memory_bytes "));
    }

    #[test]
    fn a_label_says_what_is_waited_for() {
        let now = Instant::now();
        let status = Status { waits_for: vec![Waiting::Room], ..status(now) };
        let text = Metrics::default().text(&status, now);
        assert!(text.contains("jauge_waiting{for=\"disk\"} 1\n") && text.contains("jauge_ready 0\n"), "{text}");
    }
}
