//! Patience is how long an object store is waited for: as long as its client tries, until the process is told to stop.
//! From then on a store that answers nothing is given up, so that a stop takes no longer than whoever asked for it
//! waits.

use object_store::{Error, Result};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How long after the sign to stop, and after the last answer since, an answer is waited for: well within the half
/// minute that an orchestrator gives.
const GRACE: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };

/// How often one looks for the sign.
const TICK: Duration = Duration::from_millis(50);

/// The patience with one store, over all threads that ask it.
#[derive(Debug, Default)]
pub(super) struct Patience {
    sign: OnceLock<Arc<AtomicBool>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the sign to stop was seen first.
    sign_at: Option<Instant>,
    /// When the store answered last, whatever it said.
    answer_at: Option<Instant>,
    /// Once lost it does not come back.
    is_lost: bool,
}

impl Patience {
    /// From when `sign` is set on, it ends.
    pub(super) fn ends_with(&self, sign: Arc<AtomicBool>) {
        // The sign of a process is one.
        let _ = self.sign.set(sign);
    }

    /// The answer to a request; or, once patience is lost, an error that says so, while the request may be under way
    /// still.
    pub(super) async fn wait<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if self.sign.get().is_none() {
            return request.await;
        }
        let mut request = pin!(request);
        while !self.is_lost() {
            if let Ok(done) = tokio::time::timeout(TICK, request.as_mut()).await {
                // What the client says when it gives up by itself is no answer.
                if !matches!(done, Err(Error::Generic { .. })) {
                    self.seen().answer_at = Some(Instant::now());
                }
                return done;
            }
        }
        let source = format!("timed out: no answer for {} s after the signal to stop", GRACE.as_secs());
        Err(Error::Generic { store: "object store", source: source.into() })
    }

    /// Pauses before something is tried again; false, and earlier, where it is not to be.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            if self.is_lost() || self.seen().sign_at.is_some_and(|at| at.elapsed() >= GRACE) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::park_timeout(left.min(TICK));
        }
    }

    fn is_lost(&self) -> bool {
        if !self.sign.get().is_some_and(|sign| sign.load(Ordering::Relaxed)) {
            return false;
        }
        let mut seen = self.seen();
        let sign_at = *seen.sign_at.get_or_insert_with(Instant::now);
        let heard_at = seen.answer_at.map_or(sign_at, |at| at.max(sign_at));
        seen.is_lost |= heard_at.elapsed() >= GRACE;
        seen.is_lost
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn it_ends_when_nothing_is_answered_after_the_sign_and_only_then() {
        let patience = Patience::default();
        let sign = Arc::new(AtomicBool::new(false));
        patience.ends_with(Arc::clone(&sign));
        // A request that takes longer than the grace is waited for, and so is a pause.
        let slow = async {
            tokio::time::sleep(GRACE * 2).await;
            Ok(7)
        };
        assert_eq!(block_on(patience.wait(slow)).unwrap(), 7);
        assert!(patience.pause(GRACE * 2));
        sign.store(true, Ordering::Relaxed);
        // While it answers, each request has its time.
        for _ in 0..3 {
            let slow = async {
                tokio::time::sleep(GRACE / 2).await;
                Err::<(), _>(Error::NotFound { path: String::new(), source: "404".into() })
            };
            assert!(matches!(block_on(patience.wait(slow)), Err(Error::NotFound { .. })));
        }
        // But nothing that failed is tried again so late.
        assert!(!patience.pause(Duration::ZERO));
        let began = Instant::now();
        let error = block_on(patience.wait(pending::<Result<()>>())).unwrap_err();
        assert!(error.to_string().contains("timed out") && began.elapsed() >= GRACE / 2, "{error}");
        // From then on nothing is asked.
        block_on(patience.wait(ready(Ok(())))).unwrap_err();
    }

    #[test]
    fn a_pause_is_cut_short_by_the_sign() {
        let patience = Patience::default();
        patience.ends_with(Arc::new(AtomicBool::new(true)));
        let began = Instant::now();
        assert!(patience.pause(Duration::ZERO) && !patience.pause(Duration::from_secs(3_600)));
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
