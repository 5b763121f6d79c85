//! A request is what an operator asks of the process that owns a data directory: one small JSON file in `requests/`,
//! created only if it is absent. The owner answers it in a commit, and then removes the file.

use crate::{
    commits::{
        error::ChainError,
        manifest::{Answer, manifest_path},
        seal::unseal,
    },
    store::{Put, Store, StoreError},
};
use audience::Ms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The folder of the requests.
const FOLDER: &str = "requests";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Settle a broadcast again.
    Settle,
    /// Destroy the key of a broadcast.
    Forget,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is to be done.
    pub kind: RequestKind,
    /// With which broadcast.
    pub broadcast_id: String,
    /// Of `forget`: whether the bytes of every rejected event that cannot be read are to go, whosever they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_payloads: bool,
    /// Of `settle`: the rules that were given, by name, as they are written; the others are those of the newest commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, String>,
    /// Clock of who asks.
    pub asked_at: Ms,
}

/// A file of the folder of requests.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file's name, which the answer repeats.
    pub name: String,
    /// What it asks for, or why that cannot be told.
    pub request: Result<Request, String>,
}

impl Request {
    /// Leaves it for the owner of `store`, durably, and gives its name.
    ///
    /// # Errors
    /// [`StoreError`]: the disk refuses.
    pub fn leave(&self, store: &Store) -> Result<String, StoreError> {
        let bytes = serde_json::to_vec(self).map_err(|error| StoreError::Io {
            doing: "write",
            path: store.path(FOLDER),
            source: std::io::Error::other(error),
        })?;
        loop {
            let name = format!("{:032x}.json", crate::commits::identity::Identity::random_incarnation()?);
            if matches!(store.put_new(&format!("{FOLDER}/{name}"), &bytes)?, Put::Created) {
                return Ok(name);
            }
        }
    }
}

/// The requests that wait in `store`, by name.
///
/// # Errors
/// [`StoreError`]: the folder cannot be read.
pub fn requests(store: &Store) -> Result<Vec<Asked>, StoreError> {
    let (_, names) = store.list(FOLDER)?;
    let mut asked = Vec::new();
    for name in names.into_iter().filter(|name| is_name(name)) {
        // One that is gone was taken back.
        let Some(bytes) = store.get(&format!("{FOLDER}/{name}"))? else { continue };
        let request = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        asked.push(Asked { name, request });
    }
    Ok(asked)
}

/// Removes a request, which was answered or is taken back.
///
/// # Errors
/// [`StoreError`]: the disk refuses.
pub fn remove_request(store: &Store, name: &str) -> Result<(), StoreError> {
    store.remove(&format!("{FOLDER}/{name}"))
}

/// The answer to request `name` in commit `number` of `writer` or one after it. `number` becomes that of the commit to
/// look at next.
///
/// # Errors
/// [`ChainError`]: a commit cannot be read.
pub fn answer_to(store: &Store, writer: &str, name: &str, number: &mut u64) -> Result<Option<Answer>, ChainError> {
    loop {
        let path = manifest_path(writer, *number);
        let Some(bytes) = store.get(&path)? else { return Ok(None) };
        let manifest = unseal(&path, &bytes)?;
        if let Some(answer) = manifest.answers.into_iter().find(|answer| answer.request == name) {
            return Ok(Some(answer));
        }
        *number += 1;
    }
}

/// What is being created has another name until it is whole.
fn is_name(name: &str) -> bool {
    name.strip_suffix(".json").is_some_and(|stem| stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitKind, Draft, tests::sample};

    #[test]
    fn a_request_waits_until_it_is_removed_and_its_answer_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        assert!(requests(&store).unwrap().is_empty());
        let request = Request {
            kind: RequestKind::Settle,
            broadcast_id: "b \"1\"".into(),
            all_payloads: false,
            rules: [("session_timeout".to_owned(), "90s".to_owned())].into(),
            asked_at: sample::NOW,
        };
        let name = request.leave(&store).unwrap();
        std::fs::write(dir.path().join("requests").join(format!("{}.json", "0".repeat(32))), "{").unwrap();
        std::fs::write(dir.path().join("requests").join("half.json#1"), "{").unwrap();
        let found = requests(&store).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].request.is_err());
        assert_eq!((&found[1].name, found[1].request.as_ref()), (&name, Ok(&request)));

        let mut owner = sample::take(&store, 1).unwrap();
        sample::commit(&mut owner).unwrap();
        let mut next = 1;
        assert_eq!((answer_to(&store, "main", &name, &mut next).unwrap(), next), (None, 2));
        let mut draft = Draft::after(owner.chain().newest().unwrap(), CommitKind::Settle, sample::NOW);
        draft.answers = vec![Answer { request: name.clone(), answer: "No.".into(), code: 3 }];
        owner.publish(&owner.begin(), &draft).unwrap();
        sample::commit(&mut owner).unwrap();
        let answer = answer_to(&store, "main", &name, &mut next).unwrap().unwrap();
        assert_eq!((&*answer.answer, answer.code, next), ("No.", 3, 2));
        remove_request(&store, &name).unwrap();
        remove_request(&store, &name).unwrap();
        assert_eq!(requests(&store).unwrap().len(), 1);
        // An owner that starts leaves requests alone: they are not answered yet.
        drop(owner);
        drop(sample::take(&store, 2).unwrap());
        assert_eq!(requests(&store).unwrap().len(), 1);
    }
}
