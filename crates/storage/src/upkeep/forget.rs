//! Forgetting: the key of one broadcast destroyed, so that nobody can ever tell which viewer is behind one of its
//! pseudonyms, and its ids in clear taken out of the rejected events. The pseudonyms stay, as the random numbers that
//! they are then, and so do all curves.

use super::outcome::Outcome;
use crate::directory;
use crate::keyring::Keys;
use crate::stored::open_table;
use crate::{Commit, CommitKind, Committer, Draft, FileEntry, Folder, PartWriter, Removed};
use audience::Reason;
use audience::text;
use audience::time::day_of;
use exporter::{Passport, RejectedRow, Table, TableRows, TableWriter};
use problem::Problem;
use serde_json::Value;

/// Destroys the key of the broadcast `id`, and takes its bytes out of the table `rejected` into a commit that is not
/// published yet. With `all_payloads` the bytes of every rejected event that cannot be read go, whosever they are.
///
/// # Errors
/// One key for all broadcasts, an id that nothing is known of; or the disk refuses. The key may be destroyed then: the
/// same again goes on.
pub fn forget(committer: &Committer, keys: &mut Keys, id: &str, all_payloads: bool) -> Result<Outcome, Problem> {
    let dir = committer.store().root().display();
    let newest = committer.chain().newest();
    let newest =
        newest.ok_or_else(|| Problem::world(format!("{dir} holds no commit yet, so there is nothing to forget.")))?;
    if keys.is_of_directory() || newest.settings.get("pseudonyms").is_some_and(|word| word == "directory") {
        return Err(Problem::usage(format!(
            "{dir} has one key for all broadcasts (pseudonyms = \"directory\"), so the key of one cannot be destroyed. Nothing is changed."
        )));
    }
    let is_known = is_known(committer, id)?;
    let had_key = keys.forget(id)?;
    let commit = committer.begin();
    let mut sweep = Sweep { id, all_payloads, blanked: 0, unread: 0, removed: Vec::new() };
    for file in committer.chain().files_of(Table::Rejected.name()) {
        sweep.file(committer, &commit, file)?;
    }
    let key = if had_key { "its key is destroyed" } else { "there was no key of it any more" };
    let unread = if sweep.unread == 0 {
        String::new()
    } else {
        format!(
            " {} rejected events cannot be read, and could be of any broadcast: --all-payloads takes their bytes out, too.",
            text::count(sweep.unread)
        )
    };
    if !had_key && sweep.blanked == 0 {
        if !is_known {
            return Err(Problem::usage(format!("Nothing is known of a broadcast {id:?} in {dir}.{unread}")));
        }
        return Ok(Outcome::Nothing(format!("Broadcast {id:?} was forgotten before: {key}.{unread}")));
    }
    let mut draft = Draft::after(newest, CommitKind::Forget, directory::now());
    // It holds parts of the pseudonyms of sessions that are open, and must not bring them back.
    draft.snapshot = None;
    draft.removed = sweep.removed;
    // Whether the bucket keeps them cannot be asked of every store.
    let versions = if committer.store().is_local() || sweep.blanked == 0 {
        ""
    } else {
        " A bucket that keeps old versions of its objects keeps these bytes until its own rules remove them."
    };
    let said = format!(
        "Broadcast {id:?} is forgotten: {key}, and the bytes of {} rejected events are gone.{versions}{unread}",
        text::count(sweep.blanked)
    );
    Ok(Outcome::Commit(Box::new((commit, draft, said))))
}

/// Whether a broadcast ever settled, or is in the log.
fn is_known(committer: &Committer, id: &str) -> Result<bool, Problem> {
    if committer.chain().frontiers().contains_key(id) {
        return Ok(true);
    }
    for file in committer.chain().files_of(Table::Events.name()) {
        let table = open_table(committer.store(), Table::Events, file)?.of_broadcast(id);
        for batch in table.events(|_| 0, |_| 0, |_| 0)? {
            if !batch?.0.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The way through the rejected events.
struct Sweep<'a> {
    id: &'a str,
    all_payloads: bool,
    /// Rows whose bytes went.
    blanked: u64,
    /// Rows that stay and could not be read.
    unread: u64,
    removed: Vec<Removed>,
}

impl Sweep<'_> {
    fn file(&mut self, committer: &Committer, commit: &Commit, file: &FileEntry) -> Result<(), Problem> {
        let mut found = 0;
        for batch in open_table(committer.store(), Table::Rejected, file)?.rejected()? {
            for row in batch? {
                match self.is_ours(&row) {
                    Some(true) => found += 1,
                    Some(false) => {}
                    None => self.unread += 1,
                }
            }
        }
        if found == 0 {
            return Ok(());
        }
        let whole = open_table(committer.store(), Table::Rejected, file)?;
        let passport = Passport { commit: Some(commit.number().to_string()), ..whole.passport().clone() };
        let mut writer: Option<TableWriter<PartWriter>> = None;
        for batch in whole.rejected()? {
            let mut rows = batch?;
            for row in &mut rows {
                if self.is_ours(row) == Some(true) {
                    row.payload = None;
                }
            }
            let Some(first) = rows.first() else { continue };
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let day = Folder::Day(day_of(first.received_at));
                    let part = commit.part(Table::Rejected.name(), day)?.rewritten();
                    writer.insert(TableWriter::new(Table::Rejected, &passport, part)?)
                }
            };
            writer.push(TableRows::Rejected(&rows), &[])?;
        }
        if let Some(writer) = writer {
            writer.finish()?.finish(file.rows)?;
        }
        self.blanked += found;
        self.removed.push(Removed::from(file));
        Ok(())
    }

    /// Whether the bytes of a row have to go; `None` where it cannot be told.
    fn is_ours(&self, row: &RejectedRow) -> Option<bool> {
        let Some(payload) = &row.payload else { return Some(false) };
        let is_whole = usize::try_from(row.payload_bytes).is_ok_and(|bytes| bytes == payload.len());
        let said = of_broadcast(payload, is_whole && row.rejection.reason != Reason::RepeatedField, self.id);
        said.or(self.all_payloads.then_some(true))
    }
}

/// Whether bytes are of the broadcast `id`, as far as they can be read. `is_plain`: they are whole, and no key is there
/// twice.
fn of_broadcast(payload: &[u8], is_plain: bool, id: &str) -> Option<bool> {
    let holds = || payload.windows(id.len().max(1)).any(|bytes| bytes == id.as_bytes());
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Some(false);
    }
    match serde_json::from_slice::<Value>(payload).ok().filter(|_| is_plain) {
        Some(Value::Object(fields)) => Some(match fields.get("broadcast_id") {
            Some(Value::String(said)) => said == id,
            Some(Value::Number(said)) => said.to_string() == id || (!said.is_i64() && holds()),
            // Named otherwise, or not at all.
            _ => holds() || fields.values().any(|value| mentions(value, id)),
        }),
        Some(value) => Some(holds() || mentions(&value, id)),
        None => holds().then_some(true),
    }
}

/// Whether a text of a value holds `id`.
fn mentions(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text.contains(id),
        Value::Array(values) => values.iter().any(|value| mentions(value, id)),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(id) || mentions(value, id)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::of_broadcast;

    #[test]
    fn bytes_of_a_broadcast_are_told_from_others() {
        let cases: [(&str, bool, Option<bool>); 14] = [
            (r#"{"broadcast_id":"gala","viewer_id":7}"#, true, Some(true)),
            (r#"{"broadcast_id":"g\u0061la"}"#, true, Some(true)),
            (r#"{"broadcast_id":"gala-2"}"#, true, Some(false)),
            (r#"{"broadcast_id":"b","via":"gala"}"#, true, Some(false)),
            (r#"{"broadcastId":"gala","viewer_id":"a"}"#, true, Some(true)),
            (r#"{"event":{"of":["g\u0061la"]}}"#, true, Some(true)),
            (r#"{"viewer_id":"a"}"#, true, Some(false)),
            (r#"["gala"]"#, true, Some(true)),
            ("[]", true, Some(false)),
            (" \t", true, Some(false)),
            (r#"{"broadcast_id":"gala","viewer"#, true, Some(true)),
            (r#"{"broadcast_id":"g\u0061la","viewer"#, true, None),
            (r#"{"broadcast_id":"gala","broadcast_id":"b"}"#, false, Some(true)),
            ("no JSON", true, None),
        ];
        for (payload, is_plain, expected) in cases {
            assert_eq!(of_broadcast(payload.as_bytes(), is_plain, "gala"), expected, "{payload}");
        }
        assert_eq!(of_broadcast(br#"{"broadcast_id":42}"#, true, "42"), Some(true));
        assert_eq!(of_broadcast(br#"{"broadcast_id":42,"ts":142}"#, true, "142"), Some(false));
        assert_eq!(
            of_broadcast(br#"{"broadcast_id":99999999999999999999999}"#, true, "99999999999999999999999"),
            Some(true)
        );
    }
}
