//! What a run says of itself over HTTP: whether it lives, whether it is ready, what it is doing, and numbers for
//! Prometheus.
//!
//! Whoever watches a run tells its [`Status`] a few times a second; a [`Server`] answers from the newest. Nothing here
//! can hold an event up: telling replaces a value, and who asks reads it.

mod metrics;
mod process;
mod server;
mod status;

pub use server::{ListenError, Server};
pub use status::{CommitStatus, LiveCurve, PartitionStatus, Phase, Status, Waiting};
