//! Orphans: leaves that found no session. What their numbers tell of the rules and of the events, in a sentence each.

use aggregator::Tally;
use audience::{Ms, duration, text};

/// The sentences; none where all is as it should be.
pub(crate) fn told(tally: &Tally, broadcast_idle: Ms) -> Vec<String> {
    let mut told = Vec::new();
    let (n, idle) = (text::thousands, duration::write(broadcast_idle));
    let (leaves, sessions) = match tally.silenced {
        1 => ("1 leave".to_owned(), "a session"),
        many => (format!("{} leaves", n(many)), "sessions"),
    };
    if tally.silenced > 0 {
        told.push(format!(
            "{leaves} came for {sessions} that a silence of broadcast_idle ({idle}) had closed: if viewers stay longer than that without \
             heartbeats, raise broadcast_idle."
        ));
    }
    if tally.is_mostly_orphaned() {
        let orphaned = tally.orphaned - tally.silenced;
        let all = orphaned + tally.leaves;
        told.push(format!(
            "{} of {} {} found no open session: the join is missing or is later than the leave, or carries another viewer_id or session_id.",
            n(orphaned),
            n(all),
            if all == 1 { "leave" } else { "leaves" }
        ));
    }
    told
}
