//! The start of a run: the directory taken over, the topics found, each partition's offset chosen, and the live curve
//! brought to where the last commit left it, from the log.

use super::letters::Letters;
use super::log::{Log, Resumed};
use super::message::Partition;
use super::options::{How, Options};
use super::partitions::lost_beginnings;
use super::publisher::Publisher;
use super::resume::bring_back;
use super::said::{Beginning, Said, Tell};
use super::writer::Writer;
use aggregator::{Lane, Live, Watermarks};
use audience::{Ms, Registry};
use exporter::Table;
use ingester::kafka::{Kafka, KafkaError, KafkaOptions, PartitionInfo};
use problem::Problem;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use storage::directory;
use storage::{Committer, OffsetGap};

/// How long a broker may take for one answer at the start.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may take to tell the ids of topics, which an old one does not know.
const ID_ANSWER: Duration = Duration::from_secs(10);
/// How long one attempt to reach a broker takes: between two the start looks whether it is to stop.
const CONNECT_ATTEMPT: Duration = Duration::from_secs(3);

/// All that a run begins with.
pub(super) struct Started {
    pub(super) kafka: Arc<Kafka>,
    pub(super) writer: Writer,
    pub(super) registry: Arc<Registry>,
    pub(super) partitions: BTreeMap<usize, Partition>,
    pub(super) watermarks: Watermarks,
    pub(super) watermark: Option<Ms>,
    pub(super) live: Live,
    /// The live part of each lane; partition `i` is read by lane `i % lanes`.
    pub(super) lanes: Vec<Lane>,
    /// What was lost of the input, each with its partition where that is read: the gaps of all commits, then those
    /// accepted now.
    pub(super) gaps: Vec<(Option<usize>, aggregator::Gap)>,
}

impl Started {
    /// Opens everything. The broker is asked first: where it is not there, nothing is made on disk.
    pub(super) fn open(
        options: &Options,
        how: How,
        give_up: &Arc<AtomicBool>,
        tell: &Tell,
    ) -> Result<Started, Problem> {
        let kafka = connect(&options.kafka_of(&options.sources()), give_up)?;
        let letters = Letters::open(options)?;
        let store = directory::create_or_open(&options.out)?;
        store.give_up_at(give_up);
        let warn = |said| tell(Said::Warning(said));
        let (committer, mut keys) = directory::take(&store, &options.recorded, &options.keys, &warn, Committer::take)?;
        if committer.chain().newest().is_some_and(|newest| !newest.tables.contains(Table::Events.name())) {
            return Err(Problem::world(format!(
                "{} holds the tables of a replay, which keeps no log that a run could go on with. Give --out another folder.",
                options.out
            )));
        }
        let registry = keys.registry()?;
        let partitions = partitions(options, &kafka, &committer, how, tell)?;
        let gaps = gaps(&committer, &partitions);
        let log = Log { committer: &committer, registry: &registry, partitions: &partitions, gaps: &gaps };
        let watermark = log.watermark();
        let watermarks = watermarks(options.lateness_ms, &committer, &partitions);
        let count = options.lanes.min(partitions.len()).max(1);
        let Resumed { lanes, live, snapshots } = bring_back(log, &options.rules, count, tell)?;
        let publisher = Publisher {
            committer,
            keys,
            registry: Arc::clone(&registry),
            options: options.clone(),
            tell: Arc::clone(tell),
            give_up: Arc::clone(give_up),
            awaited: Arc::default(),
        };
        let writer = Writer::new(publisher, letters, snapshots);
        Ok(Started { kafka: Arc::new(kafka), writer, registry, partitions, watermarks, watermark, live, lanes, gaps })
    }
}

/// Where to read each partition from: where the last commit stands, or its log start. What the broker no longer has
/// before that is a gap.
fn partitions(
    options: &Options,
    kafka: &Kafka,
    committer: &Committer,
    how: How,
    tell: &Tell,
) -> Result<BTreeMap<usize, Partition>, Problem> {
    let (mut partitions, mut topics) = (BTreeMap::new(), BTreeMap::<_, Vec<Beginning>>::new());
    let ids = kafka.topic_ids(ID_ANSWER);
    for (index, info) in kafka.partitions().into_iter().enumerate() {
        let offsets = kafka.offsets(index, ANSWER)?;
        let known = known(committer, &info);
        let PartitionInfo { topic, partition } = &info;
        let topic_id: Option<Arc<str>> = ids.get(&**topic).map(|id| Arc::from(id.as_str()));
        if let (Some(was), Some(is)) = (known.and_then(|known| known.topic_id.as_deref()), topic_id.as_deref())
            && was != is
        {
            let (topic, was, is) = (format!("{topic}/{partition}"), was.to_owned(), is.to_owned());
            return Err(KafkaError::AnotherTopic { topic, is, was }.into());
        }
        let wanted = known.map_or(0, |known| known.to);
        let is_gap = wanted < offsets.low;
        if (known.is_some() && is_gap && !how.accept_gap) || wanted > offsets.high {
            let (topic, partition, low, high) = (topic.to_string(), *partition, offsets.low, offsets.high);
            return Err(KafkaError::OffsetGone { topic, partition, wanted, low, high }.into());
        }
        let gap = is_gap.then(|| OffsetGap {
            from: wanted,
            to: offsets.low,
            event_at_before: known.and_then(|known| known.event_at_last),
            event_at_after: None,
            beginning: known.is_none(),
        });
        if let Some(OffsetGap { from, to, .. }) = gap.as_ref().filter(|gap| !gap.beginning) {
            tell(Said::Warning(format!("{topic}/{partition}: offsets [{from}, {to}) are accepted as lost.")));
        }
        let (from, to) = (wanted.max(offsets.low), offsets.high);
        let begins = Beginning { partition: *partition, from, to, is_new: known.is_none() };
        topics.entry(Arc::clone(topic)).or_default().push(begins);
        let (source, until) = (options.source_of(topic), how.until_end.then_some(to));
        partitions.insert(index, Partition { index, info, topic_id, gap, from, until, source });
    }
    topics.into_iter().for_each(|(topic, partitions)| tell(Said::Reading { topic, partitions }));
    let begun = partitions.values().filter(|one| one.gap.as_ref().is_some_and(|gap| gap.beginning));
    lost_beginnings(begun, options.rules.broadcast_idle).into_iter().for_each(|said| tell(said));
    Ok(partitions)
}

/// The watermarks as the last commit left them.
fn watermarks(lateness: Ms, committer: &Committer, partitions: &BTreeMap<usize, Partition>) -> Watermarks {
    let mut watermarks = Watermarks::new(lateness);
    for partition in partitions.values() {
        watermarks.add(known(committer, &partition.info).and_then(|known| known.watermark));
    }
    if let Some(watermark) = committer.chain().newest().and_then(|newest| newest.watermark) {
        watermarks.stand_at(watermark);
    }
    watermarks
}

/// The gaps of all commits, and behind them those that are accepted now, in the order in which a commit will tell them.
fn gaps(committer: &Committer, partitions: &BTreeMap<usize, Partition>) -> Vec<(Option<usize>, aggregator::Gap)> {
    let place = |topic: &str, number: i32| {
        let here = partitions.values().find(|one| *one.info.topic == *topic && one.info.partition == number);
        here.map(|one| one.index)
    };
    let known = committer.chain().lost().iter().map(|lost| (place(&lost.topic, lost.partition), lost.into()));
    let new = partitions.values().filter_map(|one| {
        let gap = one.gap.as_ref()?;
        let (before, is_beginning) = (gap.event_at_before, gap.beginning);
        Some((Some(one.index), aggregator::Gap { before, after: None, is_beginning }))
    });
    known.chain(new).collect()
}

/// Asks for the brokers until one answers, the time is up, or a signal says stop.
fn connect(options: &KafkaOptions, stop: &AtomicBool) -> Result<Kafka, Problem> {
    let (whole, began) = (options.start_timeout, Instant::now());
    loop {
        let attempt = KafkaOptions { start_timeout: CONNECT_ATTEMPT, ..options.clone() };
        match Kafka::connect(attempt) {
            Err(KafkaError::NoBroker { .. } | KafkaError::Advertised { .. }) if stop.load(Ordering::Relaxed) => {
                return Err(Problem::world("Stopped before any broker answered; nothing was read."));
            }
            Err(KafkaError::NoBroker { .. } | KafkaError::Advertised { is_passing: true, .. })
                if began.elapsed() + CONNECT_ATTEMPT < whole => {}
            Err(KafkaError::NoBroker { brokers, reason, .. }) => {
                return Err(KafkaError::NoBroker { brokers, reason, seconds: whole.as_secs() }.into());
            }
            done => return Ok(done?),
        }
    }
}

fn known<'a>(committer: &'a Committer, info: &PartitionInfo) -> Option<&'a storage::InputPartition> {
    committer.chain().partitions().iter().find(|one| *one.topic == *info.topic && one.partition == info.partition)
}
