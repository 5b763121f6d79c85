//! `jauge simulate`: the events of invented broadcasts, to a file, to stdout or to Kafka, with their truth beside.

use crate::args::SimulateArgs;
use crate::terminal;
use audience::text;
use ingester::kafka::{Kafka, KafkaError, KafkaOptions};
use ingester::producer::{Producer, Target, create_topic};
use problem::Problem;
use simulator::{Arrival, Night, generate};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a broker may take to make a topic, and to take the last records.
const BROKER_WAIT: Duration = Duration::from_secs(30);

/// `jauge simulate`
pub(crate) fn command(args: &SimulateArgs) -> Result<(), Problem> {
    let mut night = generate(&args.options()).map_err(|what| Problem::usage(as_flag(&what)))?;
    if args.truth.is_some() && args.truth == args.out {
        return Err(Problem::usage("--out and --truth name the same file: give each its own."));
    }
    // Made first: what cannot be written is told before any event goes anywhere.
    let truth = args.truth.as_deref().map(|path| Ok::<_, Problem>((path, create(path)?))).transpose()?;
    let mut pace = Pace::new(args.rate);
    let mut made = 0u64;
    let mut take =
        |arrivals: &mut Night, write: &mut dyn FnMut(&Arrival) -> Result<(), Problem>| -> Result<(), Problem> {
            for arrival in arrivals {
                write(&arrival)?;
                made += 1;
                pace.wait(made);
            }
            Ok(())
        };
    match (&args.brokers, &args.out) {
        (Some(brokers), _) => {
            let topic = args.topic.as_deref().unwrap_or_default();
            find_or_create(brokers, topic, args.partitions)?;
            let producer = Producer::connect(brokers, &[])?;
            take(&mut night, &mut |arrival| produce(&producer, topic, arrival))?;
            producer.flush(BROKER_WAIT)?;
        }
        (None, Some(path)) => {
            let refused = |error: &io::Error| cannot_write(path, error);
            let mut out = create(path)?;
            take(&mut night, &mut |arrival| line(&mut out, arrival).map_err(|error| refused(&error)))?;
            out.flush().map_err(|error| refused(&error))?;
        }
        (None, None) => {
            let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
            take(&mut night, &mut |arrival| line(&mut out, arrival).map_err(|error| terminal::refused(&error)))?;
            out.flush().map_err(|error| terminal::refused(&error))?;
        }
    }
    if let Some((path, mut out)) = truth {
        let mut truth = Vec::new();
        night.truth().write_json(&mut truth);
        out.write_all(&truth).and_then(|()| out.flush()).map_err(|error| cannot_write(path, &error))?;
    }
    if args.brokers.is_some() || args.out.is_some() {
        terminal::say(&format!("{} events.", text::count(made)));
    }
    Ok(())
}

/// Makes the topic where it is missing: where it is there, no right to make one is needed.
fn find_or_create(brokers: &str, topic: &str, partitions: i32) -> Result<(), Problem> {
    match Kafka::connect(KafkaOptions::new(brokers, &[topic])) {
        Ok(_) => Ok(()),
        Err(KafkaError::UnknownTopic { .. }) => {
            create_topic(brokers, &[], topic, partitions, &[], BROKER_WAIT)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The simulator's sentence about an option, which begins with the option's name, as one about the flag.
fn as_flag(what: &str) -> String {
    let (option, rest) = what.split_once(' ').unwrap_or((what, ""));
    let flag = match option {
        "late_ms" => "--late-by".to_owned(),
        option => format!("--{}", option.trim_end_matches("_ms").replace('_', "-")),
    };
    let unit = if option.ends_with("_ms") { " (ms)" } else { "" };
    format!("{flag}{unit} {rest}.")
}

/// One line of NDJSON.
fn line(out: &mut impl Write, arrival: &Arrival) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(192);
    arrival.event.write_json(&mut bytes);
    bytes.push(b'\n');
    out.write_all(&bytes)
}

/// One record, keyed as the contract asks. Its record time is when it is sent: a broker's retention goes by that,
/// and the night is long ago.
fn produce(producer: &Producer, topic: &str, arrival: &Arrival) -> Result<(), Problem> {
    let mut value = Vec::with_capacity(192);
    arrival.event.write_json(&mut value);
    Ok(producer.send(topic, Target::Key(&arrival.event.key()), Some(&value), None)?)
}

fn create(path: &Path) -> Result<BufWriter<File>, Problem> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok(BufWriter::with_capacity(1 << 18, file))
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem::world(format!("{} cannot be written: {error}.", path.display()))
}

/// The pace of the simulation: `rate` events a second, or as fast as they can be made.
struct Pace {
    rate: Option<f64>,
    began: Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Pace {
        Pace { rate, began: Instant::now() }
    }

    /// Waits until `made` events are due.
    fn wait(&mut self, made: u64) {
        let Some(rate) = self.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a microsecond more or less is no matter")]
        let due = Duration::from_secs_f64(made as f64 / rate);
        let early = due.saturating_sub(self.began.elapsed());
        // The system sleeps no shorter than about this.
        if early > Duration::from_millis(1) {
            std::thread::park_timeout(early);
        }
    }
}
