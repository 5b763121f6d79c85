//! The settings as the commands use them: every value in its own type, checked against each other, with where it came
//! from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aggregator::Rules;
use audience::Ms;
use ingester::kafka::KafkaOptions;
use storage::is_object_store;

use crate::form::{Raw, Value, at_home};
use crate::layers::{Entry, Layers, Merged};
use pipeline::Options;
use problem::{Problem, in_shell};
use storage::{KeyOptions, PrivateTo, Pseudonyms};

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The effective settings. Durations are ms, `>= 0`.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `HOST:PORT` each; empty where not set.
    pub(crate) brokers: Vec<String>,
    /// Topics; empty where not set.
    pub(crate) topic: Vec<String>,
    /// A local path or an object-store URL.
    pub(crate) out: Option<String>,
    /// `>= 1`.
    pub(crate) commit_interval_ms: Ms,
    /// `>= 1,000`.
    pub(crate) commit_bytes: u64,
    /// Least time between two settling commits.
    pub(crate) settle_interval_ms: Ms,
    /// How long events are kept after they settled; `None` for ever.
    pub(crate) keep_events_ms: Option<Ms>,
    /// How long live minutes are kept after they settled; `None` for ever.
    pub(crate) keep_live_ms: Option<Ms>,
    /// How long rejected events are kept; `None` for ever.
    pub(crate) rejected_keep_ms: Option<Ms>,
    /// Names from [`TABLES`](crate::setting::TABLES), without repeats.
    pub(crate) tables: Vec<String>,
    /// Where rejected records go, besides the table.
    pub(crate) rejected_topic: Option<String>,
    /// Stop at the first rejected event.
    pub(crate) strict: bool,
    /// `>= 1`; `None` for off.
    pub(crate) session_timeout_ms: Option<Ms>,
    /// `0..=session_timeout_ms`; 0 where that is off.
    pub(crate) timeout_grace_ms: Ms,
    /// 1 min to 30 d.
    pub(crate) broadcast_idle_ms: Ms,
    /// 1 min to 30 d; `None` for off.
    pub(crate) end_idle_ms: Option<Ms>,
    /// 0 to 1 h.
    pub(crate) straggler_ms: Ms,
    /// 0 to 1 h.
    pub(crate) return_within_ms: Ms,
    /// How far ahead of our clock an event may be.
    pub(crate) future_max_ms: Ms,
    /// How long the live view waits.
    pub(crate) lateness_ms: Ms,
    /// When a silent partition is idle.
    pub(crate) idle_after_ms: Ms,
    /// `>= 1,000`.
    pub(crate) max_drift_ms: Ms,
    /// Whether the bytes of rejected events are left out.
    pub(crate) rejected_redact: bool,
    /// One key a broadcast or one for all.
    pub(crate) pseudonyms: Pseudonyms,
    /// The key file, where it is set; else see [`Settings::needed_keys`].
    pub(crate) keys: Option<PathBuf>,
    /// Who may read what is private.
    pub(crate) private_to: PrivateTo,
    /// `>= 1 MiB`.
    pub(crate) memory_bytes: u64,
    /// Threads that count, `>= 1`.
    pub(crate) lanes: usize,
    /// `HOST:PORT` to serve health and metrics on; `None` where nobody asks.
    pub(crate) listen: Option<String>,
    /// Form of the log lines.
    pub(crate) log_format: LogFormat,
    /// librdkafka's properties, as they were given.
    pub(crate) kafka: BTreeMap<String, String>,
    /// Where everything came from.
    pub(crate) origins: Merged,
}

impl Settings {
    /// Merges the layers and checks the values against each other. `cores` is what `lanes = auto` means before its
    /// limit of 16.
    pub(crate) fn of(layers: &Layers, cores: usize) -> Result<Settings, Problem> {
        let settings = Settings::unchecked(layers, cores)?;
        settings.check_grace()?;
        Ok(settings)
    }

    /// The same where some of what is not set is said elsewhere, so that the values cannot be checked against each
    /// other yet.
    pub(crate) fn unchecked(layers: &Layers, cores: usize) -> Result<Settings, Problem> {
        let origins = layers.merge()?;
        let read = Reader(&origins.entries);
        Ok(Settings {
            brokers: read.list("brokers"),
            topic: read.list("topic"),
            out: read.text("out"),
            commit_interval_ms: read.ms("commit_interval"),
            commit_bytes: read.bytes("commit_bytes"),
            settle_interval_ms: read.ms("settle_interval"),
            keep_events_ms: read.limit("keep_events"),
            keep_live_ms: read.limit("keep_live"),
            rejected_keep_ms: read.limit("rejected_keep"),
            tables: read.list("tables"),
            rejected_topic: read.text("rejected_topic"),
            strict: read.value("strict") == &Value::Bool(true),
            session_timeout_ms: read.limit("session_timeout"),
            timeout_grace_ms: read.ms("timeout_grace"),
            broadcast_idle_ms: read.ms("broadcast_idle"),
            end_idle_ms: read.limit("end_idle"),
            straggler_ms: read.ms("straggler"),
            return_within_ms: read.ms("return_within"),
            future_max_ms: read.ms("future_max"),
            lateness_ms: read.ms("lateness"),
            idle_after_ms: read.ms("idle_after"),
            max_drift_ms: read.ms("max_drift"),
            rejected_redact: read.is("rejected_payload", "redact"),
            pseudonyms: if read.is("pseudonyms", "directory") { Pseudonyms::Directory } else { Pseudonyms::Broadcast },
            keys: read.text("keys").map(PathBuf::from),
            private_to: if read.is("private_to", "group") { PrivateTo::Group } else { PrivateTo::Owner },
            memory_bytes: read.bytes("memory"),
            lanes: match read.value("lanes") {
                Value::Count(Some(lanes)) => *lanes,
                _ => cores.clamp(1, 16),
            },
            listen: read.text("listen"),
            log_format: if read.is("log_format", "json") { LogFormat::Json } else { LogFormat::Text },
            kafka: origins.kafka.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect(),
            origins,
        })
    }

    fn check_grace(&self) -> Result<(), Problem> {
        let origin = |name: &str| {
            let entry = self.origins.entries.iter().find(|entry| entry.setting.name == name);
            entry.map_or_else(String::new, |e| {
                format!("{name} = {:?} (from {})", e.setting.form.write(&e.value), e.origin)
            })
        };
        let (grace, timeout) = (origin("timeout_grace"), origin("session_timeout"));
        match self.session_timeout_ms {
            None if self.timeout_grace_ms > 0 => Err(Problem::usage(format!(
                "{grace} has no effect with {timeout}. Set session_timeout, or leave the grace out."
            ))),
            Some(limit) if self.timeout_grace_ms > limit => Err(Problem::usage(format!(
                "{grace} is longer than {timeout}. Allowed: 0s up to session_timeout, so that a viewer who comes back is not counted twice."
            ))),
            _ => Ok(()),
        }
    }

    /// The brokers, or a problem of usage that says how to give them.
    pub(crate) fn needed_brokers(&self) -> Result<&[String], Problem> {
        if self.brokers.is_empty() { Err(missing("brokers", "localhost:9092")) } else { Ok(&self.brokers) }
    }

    /// Where these topics are, and librdkafka's properties.
    pub(crate) fn kafka_options(&self, topics: &[&str]) -> Result<KafkaOptions, Problem> {
        self.needed_brokers()?;
        Ok(self.kafka_of(topics))
    }

    fn kafka_of(&self, topics: &[&str]) -> KafkaOptions {
        let properties = self.kafka.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        KafkaOptions { properties, ..KafkaOptions::new(&self.brokers.join(","), topics) }
    }

    /// The options of a run, which needs topics, a data directory and brokers.
    pub(crate) fn options_of_run(&self) -> Result<Options, Problem> {
        self.needed_topics()?;
        let options = self.options()?;
        self.needed_brokers()?;
        Ok(options)
    }

    /// The options of what needs a data directory alone.
    pub(crate) fn options(&self) -> Result<Options, Problem> {
        Ok(Options {
            kafka: self.kafka_of(&[]),
            topic: self.topic.clone(),
            out: self.needed_out()?.to_owned(),
            commit_interval_ms: self.commit_interval_ms,
            commit_bytes: self.commit_bytes,
            settle_interval_ms: self.settle_interval_ms,
            keep_events_ms: self.keep_events_ms,
            keep_live_ms: self.keep_live_ms,
            rejected_keep_ms: self.rejected_keep_ms,
            tables: self.tables.clone(),
            rejected_topic: self.rejected_topic.clone(),
            strict: self.strict,
            rules: Rules {
                session_timeout: self.session_timeout_ms,
                timeout_grace: self.timeout_grace_ms,
                broadcast_idle: self.broadcast_idle_ms,
                end_idle: self.end_idle_ms,
                straggler: self.straggler_ms,
                return_within: self.return_within_ms,
            },
            future_max_ms: self.future_max_ms,
            lateness_ms: self.lateness_ms,
            idle_after_ms: self.idle_after_ms,
            max_drift_ms: self.max_drift_ms,
            rejected_redact: self.rejected_redact,
            keys: KeyOptions { path: self.needed_keys(), pseudonyms: self.pseudonyms, private_to: self.private_to },
            memory_bytes: self.memory_bytes,
            lanes: self.lanes,
            recorded: self.recorded(),
        })
    }

    /// The settings that the data depend on, as they were written: where they are and who is asked for them is left
    /// out.
    fn recorded(&self) -> BTreeMap<String, String> {
        const PLACES: [&str; 11] = [
            "brokers",
            "topic",
            "rejected_topic",
            "out",
            "keys",
            "private_to",
            "memory",
            "lanes",
            "listen",
            "log_format",
            "config",
        ];
        let entries = self.origins.entries.iter().filter(|entry| !PLACES.contains(&entry.setting.name));
        entries.map(|entry| (entry.setting.name.to_owned(), entry.setting.form.write(&entry.value))).collect()
    }

    /// The topics, or a problem of usage that says how to give them.
    pub(crate) fn needed_topics(&self) -> Result<&[String], Problem> {
        if self.topic.is_empty() { Err(missing("topic", "audience-events")) } else { Ok(&self.topic) }
    }

    /// The data directory, or a problem of usage that says how to give it.
    pub(crate) fn needed_out(&self) -> Result<&str, Problem> {
        self.out.as_deref().ok_or_else(|| missing("out", "audience"))
    }

    /// The key file: as it is set, else `keys` in the data directory. Keys do not lie in an object store beside what
    /// they hide.
    pub(crate) fn needed_keys(&self) -> Result<PathBuf, Problem> {
        match (&self.keys, self.needed_out()?) {
            (Some(keys), _) => Ok(keys.clone()),
            (None, out) if is_object_store(out) => {
                let message = missing("keys", "/var/lib/jauge/keys").message;
                Err(Problem::usage(format!(
                    "The keys of the pseudonyms stay on a local disk, and {out} is none: {message}"
                )))
            }
            (None, out) => Ok(Path::new(out.strip_prefix("file://").unwrap_or(out)).join("keys")),
        }
    }
}

/// A path as settings, JSON and the manifest hold it, which are text.
pub(crate) fn as_text(path: impl Into<OsString>) -> Result<String, Problem> {
    path.into().into_string().map_err(|path| {
        Problem::usage(format!(
            "The name {} is not UTF-8, so that it cannot be written down. Give it another one, or a link that has one.",
            in_shell(path)
        ))
    })
}

fn missing(name: &'static str, example: &str) -> Problem {
    let variable = format!("JAUGE_{}", name.to_uppercase());
    Problem::usage(format!(
        "{name} is not set. Give it by --{name} {example}, by {variable}, or as {name} = \"{example}\" in the file of --config."
    ))
}

/// Reads merged entries by name. The names are checked by the test of the defaults, which reads them all.
struct Reader<'a>(&'a [Entry]);

impl Reader<'_> {
    fn value(&self, name: &str) -> &Value {
        self.0.iter().find(|entry| entry.setting.name == name).map_or(&Value::Unset, |entry| &entry.value)
    }

    fn text(&self, name: &str) -> Option<String> {
        if let Value::Text(text) = self.value(name) { Some(text.clone()) } else { None }
    }

    fn is(&self, name: &str, word: &str) -> bool {
        matches!(self.value(name), Value::Text(text) if text == word)
    }

    fn list(&self, name: &str) -> Vec<String> {
        if let Value::List(words) = self.value(name) { words.clone() } else { Vec::new() }
    }

    fn limit(&self, name: &str) -> Option<Ms> {
        if let Value::Duration(limit) = self.value(name) { *limit } else { None }
    }

    fn ms(&self, name: &str) -> Ms {
        self.limit(name).unwrap_or(0)
    }

    fn bytes(&self, name: &str) -> u64 {
        if let Value::Size(bytes) = self.value(name) { *bytes } else { 0 }
    }
}

/// The path of the configuration file with the home folder in the place of its `~`.
fn file_at_home(path: PathBuf, home: Option<&str>) -> Result<PathBuf, Problem> {
    let Some(text) = path.to_str() else { return Ok(path) };
    let wrong = |reason| Problem::usage(format!("The path of the configuration file, {text}, {reason}."));
    Ok(PathBuf::from(at_home(text, home).map_err(wrong)?))
}

/// Reads the file of `--config` (or of JAUGE_CONFIG) and this process's environment, and adds what the flags said; `of`
/// makes settings of it.
pub(crate) fn load(
    config: Option<&Path>,
    flags: Vec<(&'static str, Raw)>,
    kafka: Vec<String>,
    of: fn(&Layers, usize) -> Result<Settings, Problem>,
) -> Result<Settings, Problem> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        if name.starts_with("JAUGE_") {
            let value = value.into_string();
            let value = value.map_err(|_| Problem::usage(format!("The environment variable {name} is not UTF-8.")))?;
            variables.push((name, value));
        }
    }
    let home = std::env::var("HOME").ok().filter(|home| !home.is_empty());
    let variable = variables.iter().find(|(name, _)| name == "JAUGE_CONFIG").map(|(_, path)| PathBuf::from(path));
    let file = match config.map(PathBuf::from).or(variable) {
        None => None,
        Some(path) => {
            let path = file_at_home(path, home.as_deref())?;
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Problem::usage(format!("The configuration file {} cannot be read: {error}.", path.display()))
            })?;
            Some((path.display().to_string(), text))
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    of(&Layers { file, variables, flags, kafka, home }, cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, Problem> {
        Settings::of(&Layers { file: Some(("j.toml".to_owned(), text.to_owned())), ..Layers::default() }, 40)
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        const S: Ms = 1_000;
        const H: Ms = 3_600 * S;
        let s = of("").expect("nothing is wrong with nothing");
        assert_eq!((s.brokers.len(), s.topic.len(), s.out.as_deref(), s.keys.as_deref()), (0, 0, None, None));
        assert_eq!((s.commit_interval_ms, s.commit_bytes, s.settle_interval_ms), (10 * S, 256_000_000, 300 * S));
        assert_eq!((s.lateness_ms, s.idle_after_ms, s.future_max_ms, s.max_drift_ms), (30 * S, 10 * S, 300 * S, H));
        assert_eq!((s.session_timeout_ms, s.timeout_grace_ms, s.broadcast_idle_ms), (None, 0, 6 * H));
        assert_eq!((s.end_idle_ms, s.straggler_ms, s.return_within_ms), (Some(900 * S), 60 * S, 60 * S));
        let day = 24 * H;
        let kept = (s.keep_events_ms, s.keep_live_ms, s.rejected_keep_ms);
        assert_eq!(kept, (Some(30 * day), Some(7 * day), Some(30 * day)));
        assert_eq!((s.rejected_redact, s.pseudonyms, s.strict), (false, Pseudonyms::Broadcast, false));
        assert_eq!((s.memory_bytes, s.lanes, s.log_format), (1 << 30, 16, LogFormat::Text));
        assert_eq!(s.tables, crate::setting::TABLES);
    }

    #[test]
    fn every_value_that_is_not_the_default_arrives() {
        let s = of("session_timeout = '90s'\ntimeout_grace = '90s'\nrejected_payload = 'redact'\n\
            end_idle = 'off'\nstraggler = '0s'\nreturn_within = '2min'\n\
            pseudonyms = 'directory'\nlog_format = 'json'\nstrict = true\nlanes = 3\nkeys = '/k'\nprivate_to = 'group'\nout = 's3://b/p'\n\
            brokers = 'a:1,b:2'\ntopic = ['t']\ntables = ['minutes']\n[kafka]\nlinger.ms = 5")
        .expect("the file is right");
        assert_eq!((s.session_timeout_ms, s.timeout_grace_ms), (Some(90_000), 90_000));
        assert_eq!((s.end_idle_ms, s.straggler_ms, s.return_within_ms), (None, 0, 120_000));
        assert_eq!((s.rejected_redact, s.pseudonyms, s.log_format), (true, Pseudonyms::Directory, LogFormat::Json));
        assert_eq!((s.strict, s.lanes, s.tables.join(",")), (true, 3, "minutes".to_owned()));
        assert_eq!((s.needed_keys(), s.private_to), (Ok(PathBuf::from("/k")), PrivateTo::Group));
        assert_eq!(s.needed_brokers(), Ok(&["a:1".to_owned(), "b:2".to_owned()][..]));
        assert_eq!((s.needed_topics().map(<[String]>::len), s.kafka["linger.ms"].as_str()), (Ok(1), "5"));
    }

    #[test]
    fn the_grace_is_at_most_the_time_out() {
        let message = |text: &str| of(text).expect_err("the grace is wrong").message;
        assert_eq!(
            message("session_timeout = '30s'\ntimeout_grace = '31s'"),
            "timeout_grace = \"31s\" (from file j.toml:2) is longer than session_timeout = \"30s\" (from file j.toml:1). \
             Allowed: 0s up to session_timeout, so that a viewer who comes back is not counted twice."
        );
        assert_eq!(
            message("timeout_grace = '1s'"),
            "timeout_grace = \"1s\" (from file j.toml:1) has no effect with session_timeout = \"off\" (from default). \
             Set session_timeout, or leave the grace out."
        );
    }

    #[test]
    fn what_a_command_needs_is_asked_for_by_name() {
        assert_eq!(of("out = 'd'").and_then(|s| s.needed_keys()), Ok(PathBuf::from("d/keys")));
        assert_eq!(of("out = 'file:///d'").and_then(|s| s.needed_keys()), Ok(PathBuf::from("/d/keys")));
        let problem = of("out = 's3://b/p'").and_then(|s| s.needed_keys()).expect_err("no keys beside the data");
        assert!(problem.exit_code() == 2 && problem.message.contains("--keys"), "{problem}");
        let problem = of("").and_then(|s| s.needed_out().map(str::to_owned)).expect_err("nothing is set");
        assert_eq!(
            problem,
            Problem::usage(
                "out is not set. Give it by --out audience, by JAUGE_OUT, or as out = \"audience\" in the file of --config."
            )
        );
    }
}
