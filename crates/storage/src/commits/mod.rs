//! Commits: what makes files data, all of one commit at once. A [`committer::Committer`] writes the files of a
//! [`commit::Commit`] and makes them true by one [`manifest::Manifest`]; a [`chain::Chain`] reads what was made true;
//! [`audit`] checks all of it.

pub(crate) mod audit;
pub(crate) mod balance;
pub(crate) mod chain;
pub(crate) mod commit;
pub(crate) mod committer;
pub(crate) mod draft;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod recover;
pub(crate) mod seal;
