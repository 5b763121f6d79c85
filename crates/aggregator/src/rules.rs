//! The rules: the settings that change what a settled number means.

use audience::{MINUTE_MS, Ms};

/// The settings that the settled tables depend on. They are in every file's passport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A session without a sign of life for so long is over; `None` = off. In ms, `> 0`.
    pub session_timeout: Option<Ms>,
    /// How long after its last sign of life such a session is taken to have lasted: 0 to `session_timeout`, ms.
    pub timeout_grace: Ms,
    /// A silence of so long parts two airings: 1 min to 30 d, ms.
    pub broadcast_idle: Ms,
    /// A broadcast that is off air for so long after its end begins another airing; `None` = off. 1 min to 30 d, ms.
    pub end_idle: Option<Ms>,
    /// A heartbeat so soon after a leave of its session opens nothing: 0 to 1 h, ms.
    pub straggler: Ms,
    /// A viewer who is there again after so long at most has returned: 0 to 1 h, ms.
    pub return_within: Ms,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            session_timeout: None,
            timeout_grace: 0,
            broadcast_idle: 360 * MINUTE_MS,
            end_idle: Some(15 * MINUTE_MS),
            straggler: MINUTE_MS,
            return_within: MINUTE_MS,
        }
    }
}
