//! The embedded broker is librdkafka's mock cluster: a real listener on this machine, with which the demo and the tests
//! need no Kafka.
//!
//! It is for little data and no proof: it keeps 5 MiB or 100,000 batches a partition and drops the oldest without a
//! word, its transactions are empty shells, and a topic cannot be created by the protocol.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
#[cfg(test)]
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::KafkaError;

/// All brokers of the cluster, of which there is one.
const ALL: i32 = -1;

/// A broker within this process, there until it is dropped.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap: String,
    /// Hanging up ends the thread.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What the broker's thread is asked to do; it reports on the channel.
enum Order {
    Reachable(bool, Sender<Result<(), String>>),
    /// The next fetches fail so.
    #[cfg(test)]
    FailFetches(Vec<RDKafkaRespErr>, Sender<Result<(), String>>),
}

impl EmbeddedBroker {
    /// Starts a broker on a free port, with these topics of `partitions` partitions each.
    pub fn start(partitions: i32, topics: &[&str]) -> Result<EmbeddedBroker, KafkaError> {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let (orders, inbox) = mpsc::channel();
        let (started, start) = mpsc::channel();
        // The cluster must stay on the thread that made it.
        let body = move || run(partitions, &topics, &started, &inbox);
        let spawned = std::thread::Builder::new().name("embedded-broker".to_owned()).spawn(body);
        let thread = spawned.map_err(|error| KafkaError::Embedded { reason: error.to_string() })?;
        let gone = || Err("its thread ended".to_owned());
        let bootstrap = start.recv().unwrap_or_else(|_| gone()).map_err(|reason| KafkaError::Embedded { reason })?;
        Ok(EmbeddedBroker { bootstrap, orders: Some(orders), thread: Some(thread) })
    }

    /// `HOST:PORT` for `brokers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Cuts all connections and takes none, or takes them again.
    pub fn set_reachable(&self, reachable: bool) -> Result<(), KafkaError> {
        self.order(|report| Order::Reachable(reachable, report))
    }

    /// Answers the next fetches with these errors, one each.
    #[cfg(test)]
    pub(crate) fn fail_fetches(&self, errors: &[RDKafkaRespErr]) -> Result<(), KafkaError> {
        self.order(|report| Order::FailFetches(errors.to_vec(), report))
    }

    fn order(&self, order: impl FnOnce(Sender<Result<(), String>>) -> Order) -> Result<(), KafkaError> {
        let (report, outcome) = mpsc::channel();
        if let Some(orders) = &self.orders {
            // A thread that is gone is found by the missing report.
            drop(orders.send(order(report)));
        }
        let gone = || Err("its thread ended".to_owned());
        outcome.recv().unwrap_or_else(|_| gone()).map_err(|reason| KafkaError::Embedded { reason })
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the broker's thread is no reason for one here.
            drop(thread.join());
        }
    }
}

fn run(partitions: i32, topics: &[String], started: &Sender<Result<String, String>>, inbox: &Receiver<Order>) {
    let start = || -> KafkaResult<_> {
        let cluster = MockCluster::new(1)?;
        for topic in topics {
            cluster.create_topic(topic, partitions, 1)?;
        }
        Ok(cluster)
    };
    let cluster = match start() {
        Ok(cluster) => cluster,
        Err(error) => {
            drop(started.send(Err(error.to_string())));
            return;
        }
    };
    if started.send(Ok(cluster.bootstrap_servers())).is_err() {
        return;
    }
    while let Ok(order) = inbox.recv() {
        let (outcome, report) = match order {
            Order::Reachable(true, report) => (cluster.broker_up(ALL), report),
            Order::Reachable(false, report) => (cluster.broker_down(ALL), report),
            #[cfg(test)]
            Order::FailFetches(errors, report) => {
                cluster.request_errors(rdkafka::types::RDKafkaApiKey::Fetch, &errors);
                (Ok(()), report)
            }
        };
        drop(report.send(outcome.map_err(|error| error.to_string())));
    }
}
