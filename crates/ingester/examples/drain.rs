//! The drain: reads topics from their beginning to their present end with the product's own client settings, and
//! discards every record. No pipeline can be quicker, so `benches/run` quotes what `jauge run` does beside it.

#![expect(clippy::print_stdout, reason = "it is a program, and this is its result")]

use ingester::kafka::{Item, Kafka, KafkaError, KafkaOptions};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// As in a lane of `jauge run`.
const WAIT: Duration = Duration::from_millis(10);
const BATCH: usize = 10_000;
const ANSWER: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(brokers), Some(topic)) = (args.next(), args.next()) else {
        return Err("usage: drain HOST:PORT TOPIC [LANES]".into());
    };
    let lanes: usize = args.next().map_or(Ok(1), |lanes| lanes.parse())?;
    let kafka = Kafka::connect(KafkaOptions::new(&brokers, &[&topic]))?;
    let mut shares = vec![BTreeMap::new(); lanes.clamp(1, kafka.partitions().len().max(1))];
    for index in 0..kafka.partitions().len() {
        let lanes = shares.len();
        shares[index % lanes].insert(index, kafka.offsets(index, ANSWER)?);
    }
    let started = Instant::now();
    let counts = std::thread::scope(|scope| {
        let drain = |share: BTreeMap<usize, ingester::kafka::Offsets>| {
            let from: Vec<(usize, i64)> = share.iter().map(|(index, offsets)| (*index, offsets.low)).collect();
            let mut left: BTreeMap<usize, i64> = share
                .into_iter()
                .filter(|(_, at)| at.low < at.last_stable)
                .map(|(index, at)| (index, at.last_stable))
                .collect();
            let mut lane = kafka.lane(&from)?;
            let (mut records, mut bytes) = (0u64, 0u64);
            while !left.is_empty() {
                for item in lane.next_batch(WAIT, BATCH)?.items() {
                    let (partition, next) = match item {
                        Item::Record { partition, offset, value, .. } => {
                            records += 1;
                            bytes += value.map_or(0, <[u8]>::len) as u64;
                            (partition, offset + 1)
                        }
                        Item::End { partition, next_offset } => (partition, next_offset),
                    };
                    if left.get(&partition).is_some_and(|end| next >= *end) {
                        left.remove(&partition);
                    }
                }
            }
            Ok::<_, KafkaError>((records, bytes))
        };
        let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || drain(share))).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<_>, _>>()
    })?;
    let (records, bytes) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{records} records, {bytes} bytes, {:.3} s", started.elapsed().as_secs_f64());
    Ok(())
}
