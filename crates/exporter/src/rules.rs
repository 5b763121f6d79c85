//! Saved rules are the rules of settling as a manifest and the head of a snapshot record them.

use serde::{Deserialize, Serialize};

/// What decides how events become sessions. All in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedRules {
    /// `session_timeout`; absent where it is off.
    pub session_timeout_ms: Option<i64>,
    /// `timeout_grace`.
    pub timeout_grace_ms: i64,
    /// `broadcast_idle`.
    pub broadcast_idle_ms: i64,
    /// `end_idle`; absent where it is off, and from before version 2 of the contract.
    #[serde(default)]
    pub end_idle_ms: Option<i64>,
    /// `straggler`.
    #[serde(default)]
    pub straggler_ms: i64,
    /// `return_within`.
    #[serde(default)]
    pub return_within_ms: i64,
}

impl From<aggregator::Rules> for SavedRules {
    fn from(rules: aggregator::Rules) -> SavedRules {
        SavedRules {
            session_timeout_ms: rules.session_timeout,
            timeout_grace_ms: rules.timeout_grace,
            broadcast_idle_ms: rules.broadcast_idle,
            end_idle_ms: rules.end_idle,
            straggler_ms: rules.straggler,
            return_within_ms: rules.return_within,
        }
    }
}

impl From<SavedRules> for aggregator::Rules {
    fn from(rules: SavedRules) -> aggregator::Rules {
        aggregator::Rules {
            session_timeout: rules.session_timeout_ms,
            timeout_grace: rules.timeout_grace_ms,
            broadcast_idle: rules.broadcast_idle_ms,
            end_idle: rules.end_idle_ms,
            straggler: rules.straggler_ms,
            return_within: rules.return_within_ms,
        }
    }
}
