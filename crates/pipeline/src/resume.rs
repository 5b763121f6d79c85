//! Going on: at the start of a run the live state is brought to where the last commit left it, from the snapshot, or
//! else from the log alone.

use super::log::{Log, Resumed};
use super::rebuild::rebuild;
use super::restore::restore;
use super::said::Tell;
use aggregator::{Gap, Rules};
use problem::Problem;

/// The live state of `lanes` lanes, which knows all gaps.
pub(super) fn bring_back(log: Log<'_>, rules: &Rules, lanes: usize, tell: &Tell) -> Result<Resumed, Problem> {
    let mut resumed = match restore(log, rules, lanes, tell)? {
        Some(resumed) => resumed,
        None => rebuild(log, rules, lanes, tell)?,
    };
    let gaps: Vec<Gap> = log.gaps.iter().map(|(_, gap)| *gap).collect();
    resumed.live.set_gaps(&gaps);
    Ok(resumed)
}
