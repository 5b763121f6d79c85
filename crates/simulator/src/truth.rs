//! The truth: what a simulation decided, in the contract's terms, to hold any count of its events against.
//!
//! It is the settled truth under the contract's default rules. A leave that was lost is one that nobody can count, so
//! its session is open until the broadcast's end (or, without an `end`, its last event) and lapses there; a viewer who
//! came again meanwhile is one of the distinct viewers all the same. Nothing is sent after the end, and no heartbeat
//! after its session's leave, so nothing straggles. Duplicates, disorder and lateness change nothing. Effects of
//! retweets are those that the simulator caused, not what a model could find.

use crate::Ms;
use crate::json::Object;

/// The truth of all broadcasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// One a broadcast, in the order of their numbers; without one of which no event was sent.
    pub broadcasts: Vec<BroadcastTruth>,
}

/// The truth of one broadcast, which is one airing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BroadcastTruth {
    /// Its name.
    pub broadcast_id: String,
    /// Its first join, retweet or end, ms since the Unix epoch.
    pub airing_at: Ms,
    /// Its first join; `None` where nobody came.
    pub first_joined_at: Option<Ms>,
    /// Its last join, leave, lapse, retweet or end.
    pub last_at: Ms,
    /// From the first join to the last leave, lapse or end, ms; `None` where nobody came.
    pub airtime_ms: Option<Ms>,
    /// Sessions, which is joins.
    pub sessions: i64,
    /// Distinct viewers.
    pub reach: i64,
    /// Peak, in sessions.
    pub viewers_max: i64,
    /// First ms of the peak; `None` for a peak of 0.
    pub viewers_max_at: Option<Ms>,
    /// Sum of all stays, ms.
    pub viewer_ms: i64,
    /// Peak, in distinct viewers.
    pub distinct_max: i64,
    /// First ms of that peak; `None` for a peak of 0.
    pub distinct_max_at: Option<Ms>,
    /// Sum of all presences, ms.
    pub distinct_ms: i64,
    /// Times that a viewer was back within a minute.
    pub returns: i64,
    /// Sessions that a leave closed.
    pub leaves: i64,
    /// Sessions that the end closed, or the last event.
    pub lapses: i64,
    /// Retweets.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// Events sent, each once.
    pub applied: i64,
    /// Second copies of events that were sent.
    pub repeated: i64,
    /// When it broke down.
    pub crash_at: Option<Ms>,
    /// Sessions with which viewers came back at once after that.
    pub reconnects: i64,
    /// One row a minute, without gaps, from that of `airing_at` to that of `last_at`.
    pub minutes: Vec<MinuteTruth>,
    /// One row a retweet, in order of time.
    pub effects: Vec<RetweetTruth>,
}

/// The truth of one minute: columns of the contract's table `minutes`, and one more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinuteTruth {
    /// Start of the minute, UTC.
    pub minute_at: Ms,
    /// Sessions opened.
    pub joins: i64,
    /// Sessions closed by a leave.
    pub leaves: i64,
    /// Sessions closed otherwise.
    pub lapses: i64,
    /// Concurrent viewers just before the minute.
    pub viewers_start: i64,
    /// Concurrent viewers at its last ms.
    pub viewers_end: i64,
    /// The most concurrent viewers at any ms.
    pub viewers_max: i64,
    /// The first ms with the most concurrent viewers.
    pub viewers_max_at: Ms,
    /// The least concurrent viewers at any ms.
    pub viewers_min: i64,
    /// Integral of concurrent viewers over the minute.
    pub viewer_ms: i64,
    /// Distinct viewers just before the minute.
    pub distinct_start: i64,
    /// Distinct viewers at its last ms.
    pub distinct_end: i64,
    /// The most distinct viewers at any ms.
    pub distinct_max: i64,
    /// The first ms with the most distinct viewers.
    pub distinct_max_at: Ms,
    /// The least distinct viewers at any ms.
    pub distinct_min: i64,
    /// Integral of distinct viewers over the minute.
    pub distinct_ms: i64,
    /// Times that a viewer was back here, at most a minute after going.
    pub returns: i64,
    /// Viewers whose first session starts here.
    pub new_viewers: i64,
    /// Retweets.
    pub retweets: i64,
    /// Sum of their known followers.
    pub retweet_followers: i64,
    /// Viewers who were really there at the minute's last ms: `viewers_end` without those whose leave was lost. No
    /// column of the contract: no event tells it.
    pub present_end: i64,
}

/// The truth of one retweet: what it caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetweetTruth {
    /// The retweet.
    pub tweet_id: String,
    /// Who posted it.
    pub user_id: String,
    /// Followers, where its event tells them.
    pub followers: Option<i64>,
    /// When.
    pub retweeted_at: Ms,
    /// What it passes on, where its event tells that.
    pub retweet_of: Option<String>,
    /// Joins that it caused: directly, or by word of mouth from such a join on. Reconnects after a crash are caused by
    /// the crash.
    pub joins: i64,
    /// Joins that it caused directly.
    pub joins_direct: i64,
    /// Joins that it caused directly, and that name it in `via`.
    pub joins_via: i64,
    /// Sum of the stays of all joins that it caused, ms.
    pub viewer_ms: i64,
}

impl Truth {
    /// Appends the truth as NDJSON, each line with its LF.
    ///
    /// Each broadcast is one line of type `broadcast`, then its lines of type `minute`, then those of type `retweet`.
    /// Every line has `type` and `broadcast_id`; the other fields are those of [`BroadcastTruth`] (without its lists,
    /// and with `joins`, which is `sessions`, and `orphaned`, which is 0), [`MinuteTruth`] and [`RetweetTruth`], by
    /// their names and in their order. Instants are ms since the Unix epoch, what is unknown or none is null.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        for broadcast in &self.broadcasts {
            broadcast.write_json(out);
        }
    }
}

impl BroadcastTruth {
    /// Appends the lines of this broadcast; see [`Truth::write_json`].
    pub fn write_json(&self, out: &mut Vec<u8>) {
        Object::open(out, "broadcast")
            .word("broadcast_id", &self.broadcast_id)
            .number("airing_at", self.airing_at)
            .maybe("first_joined_at", self.first_joined_at)
            .number("last_at", self.last_at)
            .maybe("airtime_ms", self.airtime_ms)
            .number("sessions", self.sessions)
            .number("reach", self.reach)
            .number("viewers_max", self.viewers_max)
            .maybe("viewers_max_at", self.viewers_max_at)
            .number("viewer_ms", self.viewer_ms)
            .number("distinct_max", self.distinct_max)
            .maybe("distinct_max_at", self.distinct_max_at)
            .number("distinct_ms", self.distinct_ms)
            .number("returns", self.returns)
            .number("joins", self.sessions)
            .number("leaves", self.leaves)
            .number("lapses", self.lapses)
            .number("retweets", self.retweets)
            .number("retweet_followers", self.retweet_followers)
            .number("applied", self.applied)
            .number("repeated", self.repeated)
            .number("orphaned", 0)
            .maybe("crash_at", self.crash_at)
            .number("reconnects", self.reconnects)
            .close();
        out.push(b'\n');
        for minute in &self.minutes {
            minute.write_json(&self.broadcast_id, out);
            out.push(b'\n');
        }
        for effect in &self.effects {
            effect.write_json(&self.broadcast_id, out);
            out.push(b'\n');
        }
    }
}

impl MinuteTruth {
    fn write_json(&self, broadcast_id: &str, out: &mut Vec<u8>) {
        Object::open(out, "minute")
            .word("broadcast_id", broadcast_id)
            .number("minute_at", self.minute_at)
            .number("joins", self.joins)
            .number("leaves", self.leaves)
            .number("lapses", self.lapses)
            .number("viewers_start", self.viewers_start)
            .number("viewers_end", self.viewers_end)
            .number("viewers_max", self.viewers_max)
            .number("viewers_max_at", self.viewers_max_at)
            .number("viewers_min", self.viewers_min)
            .number("viewer_ms", self.viewer_ms)
            .number("distinct_start", self.distinct_start)
            .number("distinct_end", self.distinct_end)
            .number("distinct_max", self.distinct_max)
            .number("distinct_max_at", self.distinct_max_at)
            .number("distinct_min", self.distinct_min)
            .number("distinct_ms", self.distinct_ms)
            .number("returns", self.returns)
            .number("new_viewers", self.new_viewers)
            .number("retweets", self.retweets)
            .number("retweet_followers", self.retweet_followers)
            .number("present_end", self.present_end)
            .close();
    }
}

impl RetweetTruth {
    fn write_json(&self, broadcast_id: &str, out: &mut Vec<u8>) {
        let object = Object::open(out, "retweet")
            .word("broadcast_id", broadcast_id)
            .word("tweet_id", &self.tweet_id)
            .word("user_id", &self.user_id)
            .maybe("followers", self.followers)
            .number("retweeted_at", self.retweeted_at);
        let object = match &self.retweet_of {
            Some(of) => object.word("retweet_of", of),
            None => object.maybe("retweet_of", None),
        };
        object
            .number("joins", self.joins)
            .number("joins_direct", self.joins_direct)
            .number("joins_via", self.joins_via)
            .number("viewer_ms", self.viewer_ms)
            .close();
    }
}
