//! Provenance: by which rules and from which input files were made, as their passports say; and read back, the rules
//! that a commit recorded.

use crate::{CONTRACT, Manifest};
use aggregator::Rules;
use audience::Ms;
use audience::duration;
use exporter::Passport;
use problem::Problem;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The unit of every count of viewers.
const UNIT: &str = "sessions";
/// An input of many parts is cut to so many characters.
const INPUT_CHARS_MAX: usize = 1_000;

/// The passport of files made by `rules` from the files `events`. A replay waits for nothing: it knows no lateness.
pub fn of_files(rules: &Rules, events: &[PathBuf], commit: u64) -> Passport {
    let paths: Vec<_> = events.iter().map(|path| path.to_string_lossy()).collect();
    of_input(rules, None, &paths.join(" "), commit)
}

/// The passport of files made by `rules` from `topics`, where the live view waits for `lateness`.
pub fn of_topics(rules: &Rules, lateness: Ms, topics: &[String], commit: u64) -> Passport {
    of_input(rules, Some(duration::write(lateness)), &topics.join(" "), commit)
}

/// The passport of files that an operator's settling by `rules` makes, after the commit `newest`.
pub fn of_correction(newest: &Manifest, rules: &Rules, commit: u64) -> Passport {
    let mut topics: Vec<&str> = newest.inputs.partitions.iter().map(|one| one.topic.as_str()).collect();
    topics.dedup();
    of_input(rules, newest.settings.get("lateness").cloned(), &topics.join(" "), commit)
}

fn of_input(rules: &Rules, lateness: Option<String>, input: &str, commit: u64) -> Passport {
    let text = |ms| Some(duration::write(ms));
    let or_off = |ms: Option<Ms>| ms.map_or(Some("off".to_owned()), text);
    Passport {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        contract: Some(CONTRACT.to_string()),
        unit: Some(UNIT.to_owned()),
        session_timeout: or_off(rules.session_timeout),
        timeout_grace: text(rules.timeout_grace),
        broadcast_idle: text(rules.broadcast_idle),
        end_idle: or_off(rules.end_idle),
        straggler: text(rules.straggler),
        return_within: text(rules.return_within),
        lateness,
        input: Some(input.chars().take(INPUT_CHARS_MAX).collect()),
        commit: Some(commit.to_string()),
    }
}

/// The rules of the commit `newest`, but for those that are `given`.
pub fn rules(newest: &Manifest, given: &BTreeMap<String, String>) -> Result<Rules, Problem> {
    let said = |name: &str| given.get(name).or_else(|| newest.settings.get(name));
    let duration = |name: &str| said(name).and_then(|text| duration::parse(text).ok());
    let defaults = Rules::default();
    let rules = Rules {
        session_timeout: duration("session_timeout"),
        timeout_grace: duration("timeout_grace").unwrap_or(defaults.timeout_grace),
        broadcast_idle: duration("broadcast_idle").unwrap_or(defaults.broadcast_idle),
        // Where it is said, and no duration, it is off.
        end_idle: said("end_idle").map_or(defaults.end_idle, |text| duration::parse(text).ok()),
        straggler: duration("straggler").unwrap_or(defaults.straggler),
        return_within: duration("return_within").unwrap_or(defaults.return_within),
    };
    let grace_max: Ms = rules.session_timeout.unwrap_or(0);
    if rules.timeout_grace > grace_max {
        return Err(Problem::usage(format!(
            "timeout_grace = {:?} is longer than session_timeout = {:?}. Give both, so that a viewer who comes back is not counted twice.",
            said("timeout_grace").map_or("0s", String::as_str),
            said("session_timeout").map_or("off", String::as_str)
        )));
    }
    Ok(rules)
}
