//! The passport of the files that this program writes: by which rules, from which input.

use crate::duration;
use crate::settings::Settings;
use aggregator::Rules;
use exporter::Passport;
use std::path::PathBuf;
use storage::{CONTRACT, Manifest};

/// The unit of every count of viewers.
const UNIT: &str = "sessions";
/// An input of many parts is cut to so many characters.
const INPUT_CHARS_MAX: usize = 1_000;

/// The passport of files made from the files `events`.
pub(crate) fn of_files(settings: &Settings, events: &[PathBuf], commit: u64) -> Passport {
    let paths: Vec<_> = events.iter().map(|path| path.to_string_lossy()).collect();
    // A replay waits for nothing: it knows no lateness.
    Passport { lateness: None, ..of_input(settings, &paths.join(" "), commit) }
}

/// The passport of files made from the topics of `settings`.
pub(crate) fn of_topics(settings: &Settings, commit: u64) -> Passport {
    of_input(settings, &settings.topic.join(" "), commit)
}

/// The passport of files that an operator's settling by `rules` makes, after the commit `newest`.
pub(crate) fn of_correction(newest: &Manifest, rules: &Rules, commit: u64) -> Passport {
    let mut topics: Vec<&str> = newest.inputs.partitions.iter().map(|one| one.topic.as_str()).collect();
    topics.dedup();
    let text = |ms| Some(duration::write(ms));
    Passport {
        session_timeout: rules.session_timeout.map_or(Some("off".to_owned()), text),
        timeout_grace: text(rules.timeout_grace),
        broadcast_idle: text(rules.broadcast_idle),
        lateness: newest.settings.get("lateness").cloned(),
        ..made(&topics.join(" "), commit)
    }
}

fn made(input: &str, commit: u64) -> Passport {
    Passport {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        contract: Some(CONTRACT.to_string()),
        unit: Some(UNIT.to_owned()),
        input: Some(input.chars().take(INPUT_CHARS_MAX).collect()),
        commit: Some(commit.to_string()),
        ..Passport::default()
    }
}

fn of_input(settings: &Settings, input: &str, commit: u64) -> Passport {
    let text = |ms| Some(duration::write(ms));
    Passport {
        session_timeout: settings.session_timeout_ms.map_or(Some("off".to_owned()), text),
        timeout_grace: text(settings.timeout_grace_ms),
        broadcast_idle: text(settings.broadcast_idle_ms),
        lateness: text(settings.lateness_ms),
        ..made(input, commit)
    }
}
