//! A real Apache Kafka: one broker for most tests of a run, and one of its own for a test that stops or kills it; each
//! on ports of its own, gone with the run however that ends. It has side doors, too: listeners whose advertised address
//! is another's, so that all that a client says to it goes by way of a proxy.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ingester::kafka::{Item, Kafka, KafkaOptions};
use ingester::producer::{Producer, Target, create_topic};

use crate::support::{Need, cache, finish, have, kill, program};

/// How long a broker may take until it listens: 3 to 12 s were seen.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// How long it may take to answer once it listens.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// How many tests of a run may have a proxy before the broker.
const SIDE_DOORS: usize = 8;

/// A broker that listens on `address`. The process ends, and its folder goes, when this is dropped or when the test
/// process ends, even by a signal.
#[derive(Debug)]
pub(crate) struct RealKafka {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// It answers there, too, and tells its clients a name that leads nowhere.
    pub(crate) blind_address: String,
    java: PathBuf,
    jars: PathBuf,
    folder: PathBuf,
    broker: Mutex<Child>,
    watchdog: Child,
    side_doors: Mutex<Vec<SideDoor>>,
}

/// A second way to a broker, for one proxy.
#[derive(Debug)]
pub(crate) struct SideDoor {
    /// Listens where the broker tells its clients that it is.
    pub(crate) advertised: TcpListener,
    /// Where the broker listens in truth.
    pub(crate) broker: SocketAddr,
}

impl RealKafka {
    /// The broker that all tests of this run share, started by the first that asks.
    pub(crate) fn shared() -> Need<&'static RealKafka> {
        static SHARED: OnceLock<Need<RealKafka>> = OnceLock::new();
        SHARED.get_or_init(RealKafka::start).as_ref().map_err(String::clone)
    }

    /// Formats a log folder and starts a broker on it. `Err` where Java or the jars are lacking; panics where they are
    /// there and the broker does not come up.
    pub(crate) fn start() -> Need<RealKafka> {
        let (java, jars) = (program("java")?, jars()?);
        let folder = tempfile::Builder::new().prefix("kafka-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let ports = free_ports::<{ SIDE_DOORS + 3 }>();
        let (port, controller_port, blind_port) = (ports[0], ports[1], ports[2]);
        let side_door = |port: &u16| SideDoor {
            advertised: TcpListener::bind("127.0.0.1:0").unwrap(),
            broker: SocketAddr::from(([127, 0, 0, 1], *port)),
        };
        let side_doors: Vec<SideDoor> = ports[3..].iter().map(side_door).collect();
        let properties = folder.join("server.properties");
        fs::write(&properties, server_properties(&folder, [port, controller_port, blind_port], &side_doors)).unwrap();
        let command = |class: &str| class_of_kafka(&java, &jars, &[], class);
        let mut new_id = command("kafka.tools.StorageTool");
        new_id.arg("random-uuid");
        let id = finish(new_id, &[]).exits(0).stdout;
        let mut format = command("kafka.tools.StorageTool");
        format.args(["format", "-t", id.trim(), "-c"]).arg(&properties);
        finish(format, &[]).exits(0);

        let broker = Mutex::new(start_broker(&java, &jars, &folder));
        let (address, watchdog) = (format!("127.0.0.1:{port}"), watchdog(&folder));
        let side_doors = Mutex::new(side_doors);
        let blind_address = format!("127.0.0.1:{blind_port}");
        let kafka = RealKafka { address, blind_address, java, jars, folder, broker, watchdog, side_doors };
        kafka.wait_until_it_listens();
        Ok(kafka)
    }

    /// A way to the broker that no other test has.
    pub(crate) fn side_door(&self) -> SideDoor {
        let mut doors = self.side_doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.pop().expect("SIDE_DOORS is as many as tests ask for")
    }

    /// Sends the broker a signal. Only for a broker that no other test uses.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.broker.lock().unwrap_or_else(PoisonError::into_inner).id();
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(pid.to_string());
        finish(kill, &[]).exits(0);
    }

    /// Kills the broker with SIGKILL, and does not start it again.
    pub(crate) fn kill(&self) {
        kill(&mut self.broker.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Starts the broker that was killed, on the same log and the same ports.
    pub(crate) fn start_again(&self) {
        *self.broker.lock().unwrap_or_else(PoisonError::into_inner) =
            start_broker(&self.java, &self.jars, &self.folder);
        self.wait_until_it_listens();
    }

    /// Whether the process that we started is still there. A broker whose port is taken ends, while the port answers.
    pub(crate) fn is_alive(&self) -> bool {
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        broker.try_wait().unwrap().is_none()
    }

    /// Makes a topic that is not there yet.
    pub(crate) fn make_topic(&self, name: &str, partitions: i32) {
        let make = || create_topic(&self.address, &[], name, partitions, &[], ANSWER_DEADLINE);
        // On a machine that is short of breath a broker listens long before it has its controller, and what it was
        // asked until then may never be answered.
        let made = make().or_else(|_| make().map(|_| true)).unwrap();
        assert!(made, "another test uses the topic {name}");
    }

    /// Puts records, each with its partition, into a topic; returns when the broker has all of them.
    pub(crate) fn send<'a>(&self, topic: &str, records: impl IntoIterator<Item = (i32, Option<&'a [u8]>)>) {
        let producer = Producer::connect(&self.address, &[]).unwrap();
        for (partition, value) in records {
            producer.send(topic, Target::Partition(partition), value, None).unwrap();
        }
        producer.flush(ANSWER_DEADLINE).unwrap();
    }

    /// The values of all records of a topic, partition by partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Vec<Option<Vec<u8>>>> {
        let cluster = Kafka::connect(KafkaOptions::new(&self.address, &[topic])).unwrap();
        let partitions = cluster.partitions().len();
        let from_start: Vec<(usize, i64)> = (0..partitions).map(|partition| (partition, 0)).collect();
        let mut lane = cluster.lane(&from_start).unwrap();
        let (mut values, mut ended) = (vec![Vec::new(); partitions], vec![false; partitions]);
        let deadline = Instant::now() + ANSWER_DEADLINE;
        while ended.contains(&false) {
            assert!(Instant::now() < deadline, "no end of {topic} after {ANSWER_DEADLINE:?}");
            for item in lane.next_batch(Duration::from_secs(1), 10_000).unwrap().items() {
                match item {
                    Item::Record { partition, value, .. } => values[partition].push(value.map(<[u8]>::to_vec)),
                    Item::End { partition, .. } => ended[partition] = true,
                }
            }
        }
        values
    }

    #[expect(clippy::disallowed_methods, reason = "nothing tells when a port is opened, so this asks again and again")]
    fn wait_until_it_listens(&self) {
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(&self.address).is_err() {
            let alive = self.is_alive();
            let said = fs::read_to_string(self.folder.join("stdout")).unwrap_or_default();
            assert!(alive, "Kafka ended at its start: {said}");
            assert!(Instant::now() < deadline, "Kafka does not listen after {START_DEADLINE:?}: {said}");
            // Without a pause the asking would slow the start.
            thread::sleep(Duration::from_millis(50));
        }
        assert!(self.is_alive(), "another process listens on {}", self.address);
    }
}

/// Things that no client of ours has words for: requests in the oldest form that the broker takes.
impl RealKafka {
    /// Sends one request, of a number and version, and returns the answer behind its head.
    fn ask(&self, request: i16, version: i16, body: &[u8]) -> Vec<u8> {
        let head = [&request.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &text("tests")].concat();
        let mut broker = TcpStream::connect(&self.address).unwrap();
        broker.set_read_timeout(Some(ANSWER_DEADLINE)).unwrap();
        broker.write_all(&i32::try_from(head.len() + body.len()).unwrap().to_be_bytes()).unwrap();
        broker.write_all(&[&head, body].concat()).unwrap();
        let mut length = [0; 4];
        broker.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        broker.read_exact(&mut answer).unwrap();
        answer.split_off(4)
    }

    /// Forgets all records before an offset, as retention would.
    pub(crate) fn forget_before(&self, topic: &str, partition: i32, offset: i64) {
        let one = 1_i32.to_be_bytes();
        let partition = partition.to_be_bytes();
        let timeout = 30_000_i32.to_be_bytes();
        let answer =
            self.ask(21, 0, &[&one[..], &text(topic), &one, &partition, &offset.to_be_bytes(), &timeout].concat());
        // Last in the answer: the new first offset, and the error.
        let (low, error) = answer[answer.len() - 10..].split_at(8);
        assert_eq!((low, error), (&offset.to_be_bytes()[..], &[0, 0][..]), "{answer:?}");
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let answer = self.ask(20, 1, &[&1_i32.to_be_bytes()[..], &text(topic), &30_000_i32.to_be_bytes()].concat());
        assert_eq!(answer[answer.len() - 2..], [0, 0], "{answer:?}");
    }

    /// Raises the number of a topic's partitions to `count`.
    pub(crate) fn add_partitions(&self, topic: &str, count: i32) {
        let (one, anywhere, timeout) = (1_i32.to_be_bytes(), (-1_i32).to_be_bytes(), 30_000_i32.to_be_bytes());
        let body = [&one[..], &text(topic), &count.to_be_bytes(), &anywhere, &timeout, &[0]].concat();
        let answer = self.ask(37, 0, &body);
        // Last in the answer: the error, and no text.
        assert_eq!(answer[answer.len() - 4..], [0, 0, 255, 255], "{answer:?}");
    }
}

/// A string as requests have it.
fn text(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

impl Drop for RealKafka {
    fn drop(&mut self) {
        let broker = self.broker.get_mut().unwrap_or_else(PoisonError::into_inner);
        kill(broker);
        // The end of its input is the watchdog's sign to tidy up.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A program of Kafka's.
fn class_of_kafka(java: &Path, jars: &Path, options: &[&str], class: &str) -> Command {
    let mut command = Command::new(java);
    command.args(options).arg("-cp").arg(jars.join("*")).arg(class);
    command
}

/// Starts the broker whose settings and log are in `folder`, and leaves its process id there for the watchdog.
fn start_broker(java: &Path, jars: &Path, folder: &Path) -> Child {
    let mut broker = class_of_kafka(java, jars, &["-Xmx512m"], "kafka.Kafka");
    broker.arg(folder.join("server.properties")).stdin(Stdio::null());
    broker.stdout(fs::File::create(folder.join("stdout")).unwrap());
    broker.stderr(fs::File::create(folder.join("stderr")).unwrap());
    let broker = broker.spawn().unwrap();
    fs::write(folder.join("pid"), broker.id().to_string()).unwrap();
    broker
}

/// A shell that waits for the end of its input, which comes when this process ends, however it does; then
/// it ends the broker, waits until it is gone, and removes its folder. A static is never dropped, and a
/// killed process drops nothing.
fn watchdog(folder: &Path) -> Child {
    let script = r#"cat >/dev/null; pid=$(cat "$1/pid"); kill -9 "$pid" 2>/dev/null
        for _ in 1 2 3 4 5 6 7 8 9; do kill -0 "$pid" 2>/dev/null && sleep 0.1; done
        rm -rf "$1""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Where `tests/kafka/prepare` put the jars.
fn jars() -> Need<PathBuf> {
    let jars = cache().join("kafka-4.3.1");
    let whole = jars.join("kafka_2.13-4.3.1.jar").is_file();
    if whole { Ok(jars) } else { Err("the jars of Apache Kafka: tests/kafka/prepare brings them".into()) }
}

/// Different ones: each is held until all are found.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

/// One node, both broker and controller; messages large enough for tests of events that are too large.
fn server_properties(folder: &Path, ports: [u16; 3], side_doors: &[SideDoor]) -> String {
    let [port, controller_port, blind_port] = ports;
    let each = |of: &dyn Fn(usize, &SideDoor) -> String| -> String {
        side_doors.iter().enumerate().map(|(number, door)| of(number, door)).collect()
    };
    let listeners = each(&|number, door| format!(",SIDE{number}://{}", door.broker));
    let advertised = each(&|number, door| format!(",SIDE{number}://{}", door.advertised.local_addr().unwrap()));
    let protocols = each(&|number, _| format!(",SIDE{number}:PLAINTEXT"));
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},BLIND://127.0.0.1:{blind_port}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},BLIND://no-such-host.invalid:9092{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BLIND:PLAINTEXT{protocols}
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
",
        folder.join("log").display()
    )
}

#[test]
fn a_real_kafka_keeps_what_it_is_given() {
    let Some(kafka) = have(RealKafka::shared()) else { return };
    kafka.make_topic("kept", 2);
    let many: Vec<String> = (0..1_000).map(|n| format!("record {n}")).collect();
    kafka
        .send("kept", many.iter().enumerate().map(|(n, text)| (i32::from(n.is_multiple_of(3)), Some(text.as_bytes()))));
    kafka.send("kept", [(1, None), (1, Some(&b""[..])), (0, Some(&[0, 255, b'\n'][..]))]);

    let found = kafka.read("kept");
    let place = |n: usize| usize::from(n.is_multiple_of(3));
    let expected = |partition: usize, last: &[Option<&[u8]>]| -> Vec<Option<Vec<u8>>> {
        let of_it = many.iter().enumerate().filter(|(n, _)| place(*n) == partition);
        let of_it = of_it.map(|(_, text)| Some(text.as_bytes().to_vec()));
        of_it.chain(last.iter().map(|value| value.map(<[u8]>::to_vec))).collect()
    };
    assert_eq!(found[0], expected(0, &[Some(&[0, 255, b'\n'])]));
    assert_eq!(found[1], expected(1, &[None, Some(&[])]));
    assert!(kafka.is_alive());
}
