//! A layer is one place that settings come from. There are four, and each goes over the one before: defaults, a file,
//! the environment, flags. What is known of a value is where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use toml::de::{DeTable, DeValue};

use crate::form::{Form, Raw, Value, at_home};
use crate::setting::{SETTINGS, Setting};
use problem::Problem;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File {
        /// The path of the file, as it was given.
        path: String,
        /// The line of the file, from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "file {path}:{line}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// The layers over the defaults, as they were found; nothing here reads a file or the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Path and text of the file.
    pub(crate) file: Option<(String, String)>,
    /// Environment variables, those of others among them.
    pub(crate) variables: Vec<(String, String)>,
    /// Names of settings and what their flags said.
    pub(crate) flags: Vec<(&'static str, Raw)>,
    /// What `--kafka` said, `KEY=VALUE` each.
    pub(crate) kafka: Vec<String>,
    /// The home folder, where it is known.
    pub(crate) home: Option<String>,
}

/// A setting with its value and where that came from.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The setting that has the value.
    pub(crate) setting: &'static Setting,
    /// The value, in the setting's form.
    pub(crate) value: Value,
    /// Where the value came from.
    pub(crate) origin: Origin,
}

/// Every setting in the table's order, and librdkafka's properties by their name.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    /// One entry a setting, in the order of the table.
    pub(crate) entries: Vec<Entry>,
    /// The value and the origin of each property.
    pub(crate) kafka: BTreeMap<String, (String, Origin)>,
}

/// What has been written over the defaults so far, and what was wrong with it.
#[derive(Default)]
struct Written {
    settings: BTreeMap<&'static str, (Raw, Origin)>,
    kafka: BTreeMap<String, (String, Origin)>,
    wrong: Vec<String>,
}

impl Layers {
    /// Merges the layers and checks each value that counts. The problem is one of usage and lists all
    /// that is wrong, a line each.
    pub(crate) fn merge(&self) -> Result<Merged, Problem> {
        let mut written = Written::default();
        if let Some((path, text)) = &self.file {
            written.read_file(path, text);
        }
        for (name, value) in &self.variables {
            written.read_variable(name, value);
        }
        for (name, raw) in &self.flags {
            let flag = Origin::Flag(format!("--{}", name.replace('_', "-")));
            written.settings.insert(name, (raw.clone(), flag));
        }
        for pair in &self.kafka {
            written.read_kafka_flag(pair);
        }
        written.check(self.home.as_deref())
    }
}

impl Written {
    fn read_file(&mut self, path: &str, text: &str) {
        let line_of = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let origin = |at: usize| Origin::File { path: path.to_owned(), line: line_of(at) };
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                // The error's own display quotes the line, which may hold a password.
                let at = error.span().map_or(0, |span| span.start);
                self.wrong.push(format!("{path}:{}: this is not TOML: {}", line_of(at), error.message()));
                return;
            }
        };
        for (key, value) in table.get_ref() {
            let (key, origin) = (key.get_ref().as_ref(), origin(key.span().start));
            match (Setting::named(key), value.get_ref()) {
                (Some(setting), value) => match raw_of(value) {
                    Some(raw) => drop(self.settings.insert(setting.name, (raw, origin))),
                    None => self.wrong.push(format!(
                        "{key} (from {origin}) is a {}. Allowed: {}.",
                        value.type_str(),
                        setting.form.allowed()
                    )),
                },
                (None, DeValue::Table(properties)) if key == "kafka" => {
                    self.read_kafka_table("", properties, path, &line_of);
                }
                _ if key == "kafka" => {
                    self.wrong
                        .push(format!("kafka (from {origin}) must be a table, [kafka], of librdkafka's properties."));
                }
                _ => {
                    let known = SETTINGS.iter().map(|setting| setting.name.to_owned()).chain(["kafka".to_owned()]);
                    let near = nearest(&key.replace('-', "_").to_lowercase(), known);
                    self.wrong.push(format!(
                        "Unknown setting {key:?} in {path}:{}. The nearest is {near:?}.",
                        line_number(&origin)
                    ));
                }
            }
        }
    }

    /// `security.protocol = …` without quotes is a table in a table to TOML; both ways of writing give one property.
    fn read_kafka_table(&mut self, prefix: &str, table: &DeTable<'_>, path: &str, line_of: &impl Fn(usize) -> usize) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let origin = Origin::File { path: path.to_owned(), line: line_of(key.span().start) };
            match (value.get_ref(), raw_of(value.get_ref())) {
                (DeValue::Table(inner), _) => self.read_kafka_table(&format!("{name}."), inner, path, line_of),
                (_, Some(Raw::Text(value))) => self.set_property(&name, value, origin),
                (value, _) => {
                    let kind = value.type_str();
                    self.wrong.push(format!(
                        "kafka.{name} (from {origin}) is a {kind}. Allowed: text, a number, true or false."
                    ));
                }
            }
        }
    }

    fn read_variable(&mut self, name: &str, value: &str) {
        let Some(rest) = name.strip_prefix("JAUGE_") else { return };
        if rest == "CONFIG" || belongs_to_tests(rest) || belongs_to_kubernetes(rest, value) {
            return;
        }
        let origin = Origin::Variable(name.to_owned());
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
            self.settings.insert(setting.name, (Raw::Text(value.to_owned()), origin));
            return;
        }
        if let Some(property) = rest.strip_prefix("KAFKA_").filter(|property| !property.is_empty()) {
            self.set_property(&property.to_lowercase().replace('_', "."), value.to_owned(), origin);
            return;
        }
        let known = SETTINGS.iter().map(Setting::variable);
        let near = nearest(&name.to_uppercase(), known.chain(["JAUGE_CONFIG".to_owned()]));
        self.wrong.push(format!("Unknown environment variable {name}. The nearest is {near}."));
    }

    fn read_kafka_flag(&mut self, pair: &str) {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                self.set_property(key.trim(), value.to_owned(), Origin::Flag("--kafka".to_owned()));
            }
            // The value may be a password, so that it is not repeated here.
            _ => self.wrong.push("--kafka needs KEY=VALUE, such as --kafka security.protocol=SASL_SSL.".to_owned()),
        }
    }

    fn set_property(&mut self, key: &str, value: String, origin: Origin) {
        if matches!(key, "bootstrap.servers" | "metadata.broker.list") {
            self.wrong.push(format!("kafka.{key} (from {origin}) has a setting of its own: brokers."));
            return;
        }
        self.kafka.insert(key.to_owned(), (value, origin));
    }

    /// Puts the home folder in the place of each `~` at the start of a path.
    fn resolve_homes(&mut self, home: Option<&str>) {
        for (name, (raw, origin)) in &mut self.settings {
            let Some(Setting { form: form @ Form::Path, .. }) = Setting::named(name) else { continue };
            let Raw::Text(path) = raw else { continue };
            match at_home(path, home) {
                Ok(resolved) => *path = resolved,
                Err(reason) => {
                    self.wrong
                        .push(format!("{name} = {path:?} (from {origin}) {reason}. Allowed: {}.", form.allowed()));
                }
            }
        }
        for (name, (path, origin)) in self.kafka.iter_mut().filter(|(name, _)| is_path(name)) {
            match at_home(path, home) {
                Ok(resolved) => *path = resolved,
                Err(reason) => self.wrong.push(format!("kafka.{name} = {path:?} (from {origin}) {reason}.")),
            }
        }
    }

    fn check(mut self, home: Option<&str>) -> Result<Merged, Problem> {
        self.resolve_homes(home);
        let mut entries = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let default = (Raw::Text(setting.default.to_owned()), Origin::Default);
            let (raw, origin) = self.settings.remove(setting.name).unwrap_or(default);
            let unset = origin == Origin::Default && setting.default.is_empty();
            let value = if unset { Ok(Value::Unset) } else { setting.form.read(&raw) };
            match value {
                Ok(value) => entries.push(Entry { setting, value, origin }),
                Err(reason) => self.wrong.push(format!(
                    "{} = {raw} (from {origin}) {reason}. Allowed: {}.",
                    setting.name,
                    setting.form.allowed()
                )),
            }
        }
        if self.wrong.is_empty() {
            return Ok(Merged { entries, kafka: self.kafka });
        }
        Err(Problem::usage(self.wrong.join("\n")))
    }
}

/// Whether a property of librdkafka is the path of a file: it opens files itself, and knows no `~`.
fn is_path(property: &str) -> bool {
    [".location", ".keytab", ".file"].iter().any(|end| property.ends_with(end))
}

fn line_number(origin: &Origin) -> usize {
    if let Origin::File { line, .. } = origin { *line } else { 0 }
}

/// A TOML value as it was written; `None` for what no setting can be.
fn raw_of(value: &DeValue<'_>) -> Option<Raw> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        _ => None,
    };
    match value {
        DeValue::Array(list) => list.iter().map(|item| text(item.get_ref())).collect::<Option<_>>().map(Raw::List),
        value => text(value).map(Raw::Text),
    }
}

/// The known name that takes the fewest edits from `name`; the first of several.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    known.min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate)).unwrap_or_default()
}

/// Variables that steer the project's tests, which start this program with their own environment.
fn belongs_to_tests(rest: &str) -> bool {
    matches!(rest, "SHARED" | "REQUIRE_ALL" | "SEEDS") || rest.starts_with("TEST_")
}

/// Kubernetes gives every pod variables for each service of its namespace, and a service may well be called `jauge`, or
/// `jauge-kafka`: JAUGE_SERVICE_HOST, JAUGE_KAFKA_PORT_9092_TCP_ADDR. Their values tell them from a setting with a
/// slip: JAUGE_PORT is tcp://10.0.0.1:9090 where it is theirs, and 9090 where somebody means --listen.
fn belongs_to_kubernetes(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    // _PORT_9090_TCP and what ends in _PROTO, _PORT or _ADDR behind it.
    let is_of_port = rest.split_once("_PORT_").is_some_and(|(_, behind)| {
        let mut parts = behind.split('_');
        parts.next().is_some_and(is_number) && parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"))
    });
    rest.ends_with("_SERVICE_HOST") && value.parse::<IpAddr>().is_ok()
        || (rest.ends_with("_SERVICE_PORT") || rest.contains("_SERVICE_PORT_")) && is_number(value)
        || rest.ends_with("_PORT") && is_url
        || is_of_port
}

#[cfg(test)]
mod tests;
