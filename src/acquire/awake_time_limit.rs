//! A time limit that does not run while the process is suspended. An answer that came in the meantime
//! can still be read; to discard it could mean to send the message twice.

use std::future::{Future, poll_fn};
use std::task::Poll;
use tokio::time::{Duration, Instant, timeout};

/// The limit is waited for in slices of this length.
const SLICE: Duration = Duration::from_secs(1);
/// A slice that ends later than this was not spent waiting: the process was not running.
const LATE: Duration = Duration::from_millis(500);

/// What is left of a time limit, over several steps.
#[derive(Debug)]
pub(super) struct AwakeTimeLimit {
    left: Duration,
}

/// The limit has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TimedOut;

impl AwakeTimeLimit {
    pub(super) fn new(limit: Duration) -> AwakeTimeLimit {
        AwakeTimeLimit { left: limit }
    }

    /// Waits for `work` for as long as is left.
    pub(super) async fn wait_for<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        tokio::pin!(work);
        // What is ready already, such as the rest of a short answer, needs no timer.
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(done);
        }
        loop {
            let (slice, begun) = (self.left.min(SLICE), Instant::now());
            let done = timeout(slice, &mut work).await;
            let passed = begun.elapsed();
            if passed < slice + LATE {
                self.left -= passed.min(slice);
            }
            match done {
                Ok(done) => return Ok(done),
                Err(_) if self.left.is_zero() => return Err(TimedOut),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_limit_covers_several_waits() {
        let begun = Instant::now();
        let mut limit = AwakeTimeLimit::new(Duration::from_millis(30));
        assert_eq!(limit.wait_for(async { 7 }).await, Ok(7));
        assert_eq!(limit.wait_for(std::future::pending::<()>()).await, Err(TimedOut));
        assert!(begun.elapsed() >= Duration::from_millis(30));
        assert_eq!(limit.wait_for(std::future::pending::<()>()).await, Err(TimedOut));
    }
}
