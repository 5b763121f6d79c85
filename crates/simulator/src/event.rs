//! A simulated event: what one client tells, as numbers until it is written in the contract's JSON.

use std::num::NonZeroU64;

use crate::Ms;
use crate::json::{write_hex, write_i64, write_u64};
use crate::script::write_broadcast_id;

/// `user_id` of the account with exactly 22,000 followers that passes the night on.
pub const RELAY_ID: &str = "relay-22k";

/// The `user` that stands for [`RELAY_ID`].
pub(crate) const RELAY: u64 = 0;

/// One event, as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimEvent {
    /// When it happened, ms since the Unix epoch.
    pub ts: Ms,
    /// Number of its broadcast, from 0; [`crate::broadcast_id`] names it.
    pub broadcast: u32,
    /// What happened.
    pub what: SimAct,
}

/// One event, and when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives, ms since the Unix epoch, at `event.ts` or after.
    pub at: Ms,
    /// The event.
    pub event: SimEvent,
}

/// What happened. Ids are numbers here: a viewer or session is written as a letter and 16 hexadecimal digits, a tweet
/// or account as its decimal digits, and account 0 as [`RELAY_ID`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimAct {
    /// A viewer came; the session is new with each connection.
    Join {
        /// Who.
        viewer: u64,
        /// This connection.
        session: u64,
        /// The retweet that brought the viewer, where the client knows it.
        via: Option<NonZeroU64>,
    },
    /// A viewer gave a sign of life.
    Heartbeat {
        /// Who.
        viewer: u64,
        /// This connection.
        session: u64,
    },
    /// A viewer went.
    Leave {
        /// Who.
        viewer: u64,
        /// This connection.
        session: u64,
    },
    /// Somebody passed the broadcast on.
    Retweet {
        /// The retweet.
        tweet: NonZeroU64,
        /// The account.
        user: u64,
        /// Its followers, where known.
        followers: Option<u32>,
        /// What it passes on, where known: the announcement, or an earlier retweet.
        of: Option<NonZeroU64>,
    },
    /// The broadcast ended.
    End,
}

impl SimEvent {
    /// Appends the event as one compact JSON object of the contract, without an LF.
    ///
    /// Field order: `type`, `broadcast_id`, `viewer_id`, `session_id`, `ts`, `via`; or `type`, `broadcast_id`,
    /// `tweet_id`, `user_id`, `followers`, `retweet_of`, `ts`; or `type`, `broadcast_id`, `ts`. What is unknown is left
    /// out.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.what {
            SimAct::Join { viewer, session, via } => {
                self.write_viewing(out, b"{\"type\":\"join\",\"broadcast_id\":\"", viewer, session);
                if let Some(via) = via {
                    out.extend_from_slice(b",\"via\":\"");
                    write_u64(out, via.get());
                    out.push(b'"');
                }
                out.push(b'}');
            }
            SimAct::Heartbeat { viewer, session } => {
                self.write_viewing(out, b"{\"type\":\"heartbeat\",\"broadcast_id\":\"", viewer, session);
                out.push(b'}');
            }
            SimAct::Leave { viewer, session } => {
                self.write_viewing(out, b"{\"type\":\"leave\",\"broadcast_id\":\"", viewer, session);
                out.push(b'}');
            }
            SimAct::Retweet { tweet, user, followers, of } => {
                out.extend_from_slice(b"{\"type\":\"retweet\",\"broadcast_id\":\"");
                write_broadcast_id(out, self.broadcast);
                out.extend_from_slice(b"\",\"tweet_id\":\"");
                write_u64(out, tweet.get());
                out.extend_from_slice(b"\",\"user_id\":\"");
                write_user(out, user);
                out.push(b'"');
                if let Some(followers) = followers {
                    out.extend_from_slice(b",\"followers\":");
                    write_u64(out, u64::from(followers));
                }
                if let Some(of) = of {
                    out.extend_from_slice(b",\"retweet_of\":\"");
                    write_u64(out, of.get());
                    out.push(b'"');
                }
                self.write_ts(out);
                out.push(b'}');
            }
            SimAct::End => {
                out.extend_from_slice(b"{\"type\":\"end\",\"broadcast_id\":\"");
                write_broadcast_id(out, self.broadcast);
                out.push(b'"');
                self.write_ts(out);
                out.push(b'}');
            }
        }
    }

    /// The record key under which a producer sends the event: its `viewer_id`, `tweet_id` or `broadcast_id`.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(24);
        self.write_key(&mut key);
        key
    }

    /// Appends [`SimEvent::key`], for a caller that reuses its buffer.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        match self.what {
            SimAct::Join { viewer, .. } | SimAct::Heartbeat { viewer, .. } | SimAct::Leave { viewer, .. } => {
                write_viewer(out, viewer);
            }
            SimAct::Retweet { tweet, .. } => write_u64(out, tweet.get()),
            SimAct::End => write_broadcast_id(out, self.broadcast),
        }
    }

    fn write_viewing(&self, out: &mut Vec<u8>, opening: &[u8], viewer: u64, session: u64) {
        out.extend_from_slice(opening);
        write_broadcast_id(out, self.broadcast);
        out.extend_from_slice(b"\",\"viewer_id\":\"");
        write_viewer(out, viewer);
        out.extend_from_slice(b"\",\"session_id\":\"s");
        write_hex(out, session);
        out.push(b'"');
        self.write_ts(out);
    }

    fn write_ts(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"ts\":");
        write_i64(out, self.ts);
    }
}

fn write_viewer(out: &mut Vec<u8>, viewer: u64) {
    out.push(b'v');
    write_hex(out, viewer);
}

/// The `user_id` of an account.
pub(crate) fn write_user(out: &mut Vec<u8>, user: u64) {
    if user == RELAY {
        out.extend_from_slice(RELAY_ID.as_bytes());
    } else {
        write_u64(out, user);
    }
}

const _: () = assert!(size_of::<SimEvent>() <= 48, "events wait in memory by the million where lateness is long");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: SimAct, broadcast: u32, json: &str, key: &str) {
        let event = SimEvent { ts: 1_459_704_660_000, broadcast, what };
        let mut out = b"before ".to_vec();
        event.write_json(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!("before {json}"));
        assert_eq!(event.key(), key.as_bytes());
        serde_json::from_str::<serde_json::Value>(json).expect("what is written is JSON");
    }

    #[test]
    fn events_are_written_in_the_contract_s_form() {
        let tweet = NonZeroU64::new(716_000_000_000_000_001).expect("not zero");
        check(
            SimAct::Join { viewer: 1, session: u64::MAX, via: None },
            0,
            r#"{"type":"join","broadcast_id":"nuit-debout","viewer_id":"v0000000000000001","session_id":"sffffffffffffffff","ts":1459704660000}"#,
            "v0000000000000001",
        );
        check(
            SimAct::Join { viewer: 1, session: 2, via: Some(tweet) },
            1,
            r#"{"type":"join","broadcast_id":"nuit-debout-2","viewer_id":"v0000000000000001","session_id":"s0000000000000002","ts":1459704660000,"via":"716000000000000001"}"#,
            "v0000000000000001",
        );
        check(
            SimAct::Heartbeat { viewer: 10, session: 2 },
            0,
            r#"{"type":"heartbeat","broadcast_id":"nuit-debout","viewer_id":"v000000000000000a","session_id":"s0000000000000002","ts":1459704660000}"#,
            "v000000000000000a",
        );
        check(
            SimAct::Leave { viewer: 10, session: 2 },
            0,
            r#"{"type":"leave","broadcast_id":"nuit-debout","viewer_id":"v000000000000000a","session_id":"s0000000000000002","ts":1459704660000}"#,
            "v000000000000000a",
        );
        check(
            SimAct::Retweet { tweet, user: RELAY, followers: Some(22_000), of: NonZeroU64::new(7) },
            0,
            r#"{"type":"retweet","broadcast_id":"nuit-debout","tweet_id":"716000000000000001","user_id":"relay-22k","followers":22000,"retweet_of":"7","ts":1459704660000}"#,
            "716000000000000001",
        );
        check(
            SimAct::Retweet { tweet, user: 12, followers: None, of: None },
            0,
            r#"{"type":"retweet","broadcast_id":"nuit-debout","tweet_id":"716000000000000001","user_id":"12","ts":1459704660000}"#,
            "716000000000000001",
        );
        check(
            SimAct::End,
            41,
            r#"{"type":"end","broadcast_id":"nuit-debout-42","ts":1459704660000}"#,
            "nuit-debout-42",
        );
    }
}
