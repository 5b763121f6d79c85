//! The start of a run: the directory taken over, the topics found, each partition's offset chosen, and the live curve brought to where the last
//! commit left it, from the log.

use super::lane::Partition;
use super::logline;
use super::writer::{Writer, Written};
use crate::directory::{self, Keys};
use crate::problem::Problem;
use crate::replay::rules;
use crate::settings::Settings;
use crate::stored::open_table;
use aggregator::{Lane, Live, Watermarks};
use audience::{Ms, Registry, fingerprint};
use exporter::{FileEntry, ON_TIME, Owner as DirectoryOwner, Table};
use ingester::kafka::{Kafka, KafkaOptions, PartitionInfo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long a broker may take for one answer at the start.
const ANSWER: Duration = Duration::from_secs(30);

/// All that a run begins with.
pub(super) struct Started {
    pub(super) kafka: Kafka,
    pub(super) writer: Writer,
    pub(super) registry: Arc<Registry>,
    pub(super) partitions: BTreeMap<usize, Partition>,
    pub(super) watermarks: Watermarks,
    pub(super) watermark: Option<Ms>,
    pub(super) live: Live,
    /// The live part of each lane; partition `i` is read by lane `i % lanes`.
    pub(super) lanes: Vec<Lane>,
}

impl Started {
    /// Opens everything. The broker is asked first: where it is not there, nothing is made on disk.
    pub(super) fn open(settings: &Settings, is_until_end: bool, give_up: &Arc<AtomicBool>) -> Result<Started, Problem> {
        let (brokers, topics, out) = (settings.needed_brokers()?, settings.needed_topics()?, settings.needed_out()?);
        let mut topics = topics.to_vec();
        topics.sort();
        topics.dedup();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let properties = settings.kafka.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let kafka = Kafka::connect(KafkaOptions { properties, ..KafkaOptions::new(&brokers.join(","), &names) })?;

        let store = directory::create_or_open(out)?;
        let owner = DirectoryOwner::take(&store, directory::identity(settings)?, directory::now())?;
        let mut keys = Keys::open(settings)?;
        let registry = keys.registry()?;
        let partitions = Started::partitions(settings, &kafka, &owner, is_until_end)?;
        let mut watermarks = Watermarks::new(settings.lateness_ms);
        for partition in partitions.values() {
            watermarks.add(known(&owner, &partition.info).and_then(|known| known.watermark));
        }
        let watermark = owner.chain().newest().and_then(|newest| newest.watermark);
        if let Some(watermark) = watermark {
            watermarks.stand_at(watermark);
        }
        let count = settings.lanes.min(partitions.len()).max(1);
        let lanes = (0..count).map(|_| Lane::new(rules(settings))).collect();
        let sources = topics.iter().map(|topic| Arc::from(topic.as_str())).collect();
        let writer = Writer {
            owner,
            keys,
            registry: Arc::clone(&registry),
            settings: settings.clone(),
            sources,
            give_up: Arc::clone(give_up),
        };
        let live = Live::new(rules(settings));
        let mut started = Started { kafka, writer, registry, partitions, watermarks, watermark, live, lanes };
        started.rebuild(settings)?;
        Ok(started)
    }

    /// The number of a topic in the sorted list of topics.
    pub(super) fn source_of(settings: &Settings, topic: &str) -> u32 {
        let mut topics: Vec<&String> = settings.topic.iter().collect();
        topics.sort();
        topics.dedup();
        let place = topics.iter().position(|known| *known == topic).unwrap_or(0);
        u32::try_from(place).unwrap_or(0)
    }

    /// Where to read each partition from: where the last commit stands, or its log start.
    fn partitions(
        settings: &Settings,
        kafka: &Kafka,
        owner: &DirectoryOwner,
        is_until_end: bool,
    ) -> Result<BTreeMap<usize, Partition>, Problem> {
        let mut partitions = BTreeMap::new();
        for (index, info) in kafka.partitions().into_iter().enumerate() {
            let offsets = kafka.offsets(index, ANSWER)?;
            let from = known(owner, &info).map_or(offsets.low, |known| known.to);
            let PartitionInfo { topic, partition } = &info;
            if from < offsets.low {
                return Err(Problem::world(format!(
                    "{topic}/{partition}: offsets {from} to {} are gone from the broker before they were read, so no number over them \
                     could be right. Read them from a copy of the topic, or begin a new data directory with --out.",
                    offsets.low - 1
                )));
            }
            if from > offsets.high {
                return Err(Problem::world(format!(
                    "{topic}/{partition} ends at offset {}, but the last commit has read it up to {from}: the topic was deleted and made \
                     again, or it is another one. Begin a new data directory with --out.",
                    offsets.high
                )));
            }
            let source = Started::source_of(settings, topic);
            let until = is_until_end.then_some(offsets.high);
            partitions.insert(index, Partition { index, info, from, until, source });
        }
        Ok(partitions)
    }

    /// Brings lanes and live curve to the watermark of the last commit, from the events that have not settled. The minutes that close on the
    /// way are in the table `live` already.
    fn rebuild(&mut self, settings: &Settings) -> Result<(), Problem> {
        let chain = self.writer.owner.chain();
        for (id, frontier) in chain.frontiers() {
            let (broadcast, _) = self.registry.number(id);
            self.live.set_frontier(broadcast, *frontier);
            self.lanes.iter_mut().for_each(|lane| lane.set_frontier(broadcast, *frontier));
        }
        let files: Vec<FileEntry> = chain.files_of(Table::Events.name()).cloned().collect();
        if files.is_empty() {
            return Ok(());
        }
        let places: BTreeMap<(String, i32), usize> =
            self.partitions.values().map(|one| ((one.info.topic.to_string(), one.info.partition), one.index)).collect();
        let frontiers: Vec<Ms> = {
            let ids = self.registry.ids();
            ids.iter().map(|id| chain.frontiers().get(&**id).copied().unwrap_or(Ms::MIN)).collect()
        };
        let store = self.writer.owner.store();
        let lanes = self.lanes.len();
        let mut events = 0u64;
        for file in &files {
            let number = |id: &str| self.registry.number(id).0;
            let mut topics = Vec::new();
            let mut source = |name: &str| {
                topics.push(name.to_owned());
                u32::try_from(topics.len() - 1).unwrap_or(0)
            };
            let table = open_table(store, Table::Events, file)?;
            let mut batches = Vec::new();
            for batch in table.events(number, &mut source, fingerprint)? {
                batches.push(batch?);
            }
            for (rows, details) in batches {
                for row in rows {
                    let is_settled =
                        frontiers.get(row.event.broadcast as usize).is_some_and(|frontier| row.event.ts() < *frontier);
                    if is_settled {
                        continue;
                    }
                    let place = (topics[row.source as usize].clone(), row.partition);
                    // A partition that is no longer read still has its events in the curve.
                    let lane = places.get(&place).map_or(0, |index| index % lanes);
                    let late_at = (row.late_at != ON_TIME).then_some(row.late_at);
                    self.lanes[lane].push_logged(row.event, &details, late_at);
                    events += 1;
                }
            }
        }
        if let Some(watermark) = self.watermark {
            let gathered = self.lanes.iter_mut().map(|lane| lane.gather(watermark)).collect();
            let directives = self.live.advance(watermark, gathered);
            let changes = self.lanes.iter_mut().map(|lane| lane.close(&directives)).collect();
            self.live.close(changes);
        }
        let text =
            format!("Going on after commit {}: {events} events had not settled.", self.writer.owner.chain().number());
        logline::say(settings.log_format, &logline::info(&text));
        Ok(())
    }

    /// How the writer stands before its first commit.
    pub(super) fn written(&self) -> Written {
        let chain = self.writer.owner.chain();
        let ledger = chain.newest().map(|newest| newest.ledger).unwrap_or_default();
        Written { commit: chain.number(), ledger, airings: 0 }
    }
}

fn known<'a>(owner: &'a DirectoryOwner, info: &PartitionInfo) -> Option<&'a exporter::Partition> {
    owner.chain().partitions().iter().find(|one| *one.topic == *info.topic && one.partition == info.partition)
}
