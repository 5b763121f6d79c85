//! Tests of whole data directories: commits, crashes at every step, object stores in bad weather. What they share
//! stands here, too.

mod audit;
mod balance;
mod commit;
#[cfg(unix)]
mod crash;
#[cfg(unix)]
mod crash_seeds;
mod object;
pub(crate) mod sample;
mod snapshots;
mod weather;
