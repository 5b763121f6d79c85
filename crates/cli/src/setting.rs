//! A setting: something an operator may choose. One table of them drives flags, environment, file, `jauge config`, the
//! example files and the man pages, so that they agree.

use crate::form::Form;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The name in a file; a flag has dashes, a variable capitals and `JAUGE_` before it.
    pub(crate) name: &'static str,
    /// The default as it would be written in a file, without quotes; empty where nothing is set.
    pub(crate) default: &'static str,
    /// What may be written.
    pub(crate) form: Form,
    /// The placeholder in a usage line.
    pub(crate) placeholder: &'static str,
    /// One or two sentences, for people.
    pub(crate) help: &'static str,
    /// The heading under which help and example files list it.
    pub(crate) group: &'static str,
    /// Commands with the setting as a flag; `config` has them all.
    pub(crate) commands: &'static [&'static str],
}

impl Setting {
    /// The setting of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The flag without its dashes: `commit-interval`.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable: `JAUGE_COMMIT_INTERVAL`.
    pub(crate) fn variable(&self) -> String {
        format!("JAUGE_{}", self.name.to_uppercase())
    }

    /// The flag that takes the setting on the command line of `command`, if it has one.
    pub(crate) fn belongs_to(&self, command: &str) -> bool {
        command == "config" || self.commands.contains(&command)
    }
}

/// The tables that `replay` can write, in the order of the contract.
pub(crate) const TABLES: &[&str] = &["airings", "minutes", "sessions", "retweets", "rejected"];

/// The rules by which events become sessions.
pub(crate) const RULES: &[&str] =
    &["session_timeout", "timeout_grace", "broadcast_idle", "end_idle", "straggler", "return_within"];

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// No rule waits longer than the hundred years that an event's time may span.
const EVER: i64 = 36_525 * DAY;
/// How long rows are kept.
const KEPT: Form = Form::Duration { least_ms: 0, most_ms: EVER, never: Some("forever") };

const RUN: &[&str] = &["run"];
const KAFKA: &[&str] = &["run", "rejected"];
const REPLAY: &[&str] = &["replay"];
const BOTH: &[&str] = &["run", "replay"];
const SETTLERS: &[&str] = &["run", "replay", "settle"];
const KEYED: &[&str] = &["run", "replay", "forget"];
const READERS: &[&str] = &["run", "replay", "settle", "show", "verify"];

const INPUT: &str = "Input";
const OUTPUT: &str = "Output";
const COUNTING: &str = "How sessions and airings are counted";
const LIVE: &str = "The live view";
const PRIVACY: &str = "Privacy";
const MACHINE: &str = "Machine";

const fn duration(least_ms: i64, most_ms: i64) -> Form {
    Form::Duration { least_ms, most_ms, never: None }
}

/// Every setting, in the order in which people meet them.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "brokers",
        default: "",
        form: Form::List,
        placeholder: "HOST:PORT",
        help: "Kafka brokers to ask first; several with commas",
        group: INPUT,
        commands: KAFKA,
    },
    Setting {
        name: "topic",
        default: "",
        form: Form::List,
        placeholder: "NAME",
        help: "Topics to read, all of their partitions; several with commas",
        group: INPUT,
        commands: RUN,
    },
    Setting {
        name: "strict",
        default: "false",
        form: Form::Bool,
        placeholder: "true|false",
        help: "Stop at the first rejected event, with exit code 4",
        group: INPUT,
        commands: BOTH,
    },
    Setting {
        name: "rejected_topic",
        default: "",
        form: Form::Text,
        placeholder: "NAME",
        help: "Send records that are rejected to this topic, too, whole, with headers that say why",
        group: INPUT,
        commands: RUN,
    },
    Setting {
        name: "out",
        default: "",
        form: Form::Path,
        placeholder: "DIR",
        help: "The data directory: a folder, or a URL of an object store (s3://BUCKET/PREFIX, gs://, az://)",
        group: OUTPUT,
        commands: BOTH,
    },
    Setting {
        name: "commit_interval",
        default: "10s",
        form: duration(1, DAY),
        placeholder: "DURATION",
        help: "How often files and offsets are committed, in one step",
        group: OUTPUT,
        commands: RUN,
    },
    Setting {
        name: "commit_bytes",
        default: "256MB",
        form: Form::Size { least: 1_000 },
        placeholder: "SIZE",
        help: "Commit earlier once this much has been read",
        group: OUTPUT,
        commands: RUN,
    },
    Setting {
        name: "settle_interval",
        default: "5min",
        form: duration(0, DAY),
        placeholder: "DURATION",
        help: "The least time between two commits that settle airings",
        group: OUTPUT,
        commands: RUN,
    },
    Setting {
        name: "keep_events",
        default: "30d",
        form: KEPT,
        placeholder: "DURATION|forever",
        help: "Keep events for this long after they settled; then nothing can be settled from them again",
        group: OUTPUT,
        commands: RUN,
    },
    Setting {
        name: "keep_live",
        default: "7d",
        form: KEPT,
        placeholder: "DURATION|forever",
        help: "Keep live minutes for this long after they settled",
        group: OUTPUT,
        commands: RUN,
    },
    Setting {
        name: "tables",
        default: "airings,minutes,sessions,retweets,rejected",
        form: Form::Choices(TABLES),
        placeholder: "TABLE",
        help: "The tables to write, with commas",
        group: OUTPUT,
        commands: REPLAY,
    },
    Setting {
        name: "session_timeout",
        default: "off",
        form: Form::Duration { least_ms: 1, most_ms: EVER, never: Some("off") },
        placeholder: "DURATION|off",
        help: "Close a session that gave no sign of life for this long. For clients that send heartbeats",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "timeout_grace",
        default: "0s",
        form: duration(0, EVER),
        placeholder: "DURATION",
        help: "How long a session that timed out is counted after its last sign of life; at most session_timeout",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "broadcast_idle",
        default: "6h",
        form: duration(MINUTE, 30 * DAY),
        placeholder: "DURATION",
        help: "A broadcast silent for this long is over: its airing settles",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "end_idle",
        default: "15min",
        form: Form::Duration { least_ms: MINUTE, most_ms: 30 * DAY, never: Some("off") },
        placeholder: "DURATION|off",
        help: "A broadcast that no join has put on air again for this long after its end is over: its airing settles",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "straggler",
        default: "1min",
        form: duration(0, HOUR),
        placeholder: "DURATION",
        help: "A heartbeat less than this long after a leave of its session opens nothing. For pages that beat on when closed",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "return_within",
        default: "1min",
        form: duration(0, HOUR),
        placeholder: "DURATION",
        help: "A viewer who is there again at most this long after having gone has returned: the column returns",
        group: COUNTING,
        commands: SETTLERS,
    },
    Setting {
        name: "future_max",
        default: "5min",
        form: duration(0, EVER),
        placeholder: "DURATION",
        help: "Reject an event that is further ahead of our clock",
        group: COUNTING,
        commands: KAFKA,
    },
    Setting {
        name: "lateness",
        default: "30s",
        form: duration(0, 30 * DAY),
        placeholder: "DURATION",
        help: "How long the live view waits for events out of order. Settled numbers do not depend on it",
        group: LIVE,
        commands: RUN,
    },
    Setting {
        name: "idle_after",
        default: "10s",
        form: duration(0, DAY),
        placeholder: "DURATION",
        help: "A partition read to its end and silent for this long no longer holds the live view back",
        group: LIVE,
        commands: RUN,
    },
    Setting {
        name: "max_drift",
        default: "1h",
        form: duration(SECOND, EVER),
        placeholder: "DURATION",
        help: "Pause a partition that is this much event time ahead of the others",
        group: LIVE,
        commands: RUN,
    },
    Setting {
        name: "rejected_payload",
        default: "keep",
        form: Form::Choice(&["keep", "redact"]),
        placeholder: "keep|redact",
        help: "Keep the bytes of rejected events, or only their places and reasons",
        group: PRIVACY,
        commands: BOTH,
    },
    Setting {
        name: "rejected_keep",
        default: "30d",
        form: KEPT,
        placeholder: "DURATION|forever",
        help: "Keep rejected events for this long, in whole UTC days",
        group: PRIVACY,
        commands: RUN,
    },
    Setting {
        name: "pseudonyms",
        default: "broadcast",
        form: Form::Choice(&["broadcast", "directory"]),
        placeholder: "broadcast|directory",
        help: "One key for each broadcast, or one for the directory (viewers can then be followed across broadcasts)",
        group: PRIVACY,
        commands: BOTH,
    },
    Setting {
        name: "keys",
        default: "",
        form: Form::Path,
        placeholder: "FILE",
        help: "The key file of the pseudonyms; DIR/keys where nothing is set. An object store needs one",
        group: PRIVACY,
        commands: KEYED,
    },
    Setting {
        name: "private_to",
        default: "owner",
        form: Form::Choice(&["owner", "group"]),
        placeholder: "owner|group",
        help: "Who may read the key file and the folder of rejected events; group is for Secrets and fsGroup of Kubernetes",
        group: PRIVACY,
        commands: KEYED,
    },
    Setting {
        name: "memory",
        default: "1GiB",
        form: Form::Size { least: 1 << 20 },
        placeholder: "SIZE",
        help: "Memory to sort events in; more of them go through the disk",
        group: MACHINE,
        commands: READERS,
    },
    Setting {
        name: "lanes",
        default: "auto",
        form: Form::Count { most: 256 },
        placeholder: "N|auto",
        help: "Threads that count; auto is one for each core, at most 16",
        group: MACHINE,
        commands: READERS,
    },
    Setting {
        name: "listen",
        default: "",
        form: Form::Text,
        placeholder: "HOST:PORT",
        help: "Serve /livez, /readyz, /status and /metrics over HTTP there; not at all where nothing is set",
        group: MACHINE,
        commands: RUN,
    },
    Setting {
        name: "log_format",
        default: "text",
        form: Form::Choice(&["text", "json"]),
        placeholder: "text|json",
        help: "Form of the log lines on stderr",
        group: MACHINE,
        commands: &["run", "replay", "verify"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Raw;

    #[test]
    fn every_default_is_allowed_and_every_name_is_there_once() {
        for (at, setting) in SETTINGS.iter().enumerate() {
            if !setting.default.is_empty() {
                let value = setting.form.read(&Raw::Text(setting.default.to_owned()));
                assert!(value.is_ok(), "{}: {value:?}", setting.name);
            }
            assert!(SETTINGS[..at].iter().all(|other| other.name != setting.name), "{}", setting.name);
            let before = SETTINGS[..at].iter().rposition(|other| other.group == setting.group);
            assert!(before.is_none_or(|before| before + 1 == at), "{}: its group is elsewhere", setting.name);
            assert!(!setting.help.ends_with('.'), "{}: help is continued by its default", setting.name);
        }
    }
}
