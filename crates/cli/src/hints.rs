//! Hints: what a person is told beside the number of rejected events, so that the next attempt is better: the most
//! frequent reasons, the first event of each, what is wrong with it, and the command that makes events of it.

use audience::{Guise, text};
use pipeline::{RejectedFile, RejectedGroup};
use problem::in_shell;
use report::text::draw;
use serde_json::{Value, json};

/// Files, and reasons of each, that are told to people.
const MOST: usize = 3;
/// Characters of an event that are shown to people.
const EXAMPLE: usize = 96;

/// An event of somebody else, safe to print and in one line.
pub(crate) fn example(bytes: &[u8]) -> String {
    draw::cut(&draw::printable(&String::from_utf8_lossy(bytes)), EXAMPLE)
}

/// What is known of an event that was rejected: what it seems to be, and otherwise what exactly is wrong with it.
pub(crate) fn sentence(flaw: Option<&str>, guise: Option<&Guise>, path: &str) -> Option<String> {
    let Some(guise) = guise else { return flaw.map(str::to_owned) };
    let way =
        guise.recipe(path).map_or_else(String::new, |recipe| format!(" Try: {recipe} | jauge replay - --out DIR"));
    Some(format!("It seems to be {guise}.{way}"))
}

/// The files of which events were rejected. `kept`: the directory that has them in its table.
pub(crate) fn told(files: &[RejectedFile], kept: Option<&str>) -> String {
    let mut told = String::new();
    for file in files.iter().take(MOST) {
        let RejectedFile { source, accepted, rejected, groups } = file;
        let (n, all) = (text::count(*rejected), text::count(accepted + rejected));
        told.push_str(&match accepted {
            0 => format!("Nothing of {source} was accepted: all {n} events were rejected.\n"),
            _ => format!("Of {source}, {n} of {all} events were rejected.\n"),
        });
        for group in groups.iter().take(MOST) {
            let RejectedGroup { rejection, count, line, begins, flaw, guise, .. } = group;
            told.push_str(&format!("{:>12}  {rejection}, first in line {}", text::count(*count), text::count(*line)));
            let begins = begins.as_ref().map(|begins| format!(": {}", example(begins.as_bytes())));
            told.push_str(&(begins.unwrap_or_default() + "\n"));
            if let Some(sentence) = sentence(flaw.as_deref(), guise.as_ref(), &in_shell(source)) {
                told.push_str(&format!("{:>12}  {sentence}\n", ""));
            }
        }
        if groups.len() > MOST {
            told.push_str(&format!("{:>12}  and {} reasons more\n", "", groups.len() - MOST));
        }
    }
    if files.len() > MOST {
        told.push_str(&format!("So it is with {} files more.\n", files.len() - MOST));
    }
    if let (false, Some(dir)) = (files.is_empty(), kept) {
        told.push_str(&format!("All that were rejected: jauge rejected {}\n", in_shell(dir)));
    }
    told
}

/// The same for programs, of all files and reasons.
pub(crate) fn as_json(files: &[RejectedFile]) -> Value {
    let group = |source: &str, group: &RejectedGroup| {
        json!({
            "reason": group.rejection.reason.word(),
            "field": group.rejection.field.word(),
            "count": group.count,
            "line": group.line,
            "offset": group.offset,
            "hint": sentence(group.flaw.as_deref(), group.guise.as_ref(), &in_shell(source)),
        })
    };
    let file = |file: &RejectedFile| {
        let groups: Vec<Value> = file.groups.iter().map(|one| group(&file.source, one)).collect();
        json!({ "source": file.source, "accepted": file.accepted, "rejected": file.rejected, "reasons": groups })
    };
    files.iter().map(file).collect()
}
