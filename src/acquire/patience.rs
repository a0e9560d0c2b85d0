//! A time limit that a suspended process does not use up: an answer that came meanwhile is there
//! to be read, and a message whose answer is thrown away may be sent twice.

use std::future::{Future, poll_fn};
use std::task::Poll;
use tokio::time::{Duration, Instant, timeout};

/// The limit is waited for in pieces of this length.
const PIECE: Duration = Duration::from_secs(1);
/// A piece that ends later than this was no waiting: the process was not running.
const LATE: Duration = Duration::from_millis(500);

/// What is left of a time limit, over several steps.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
}

/// The limit has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience { left: limit }
    }

    /// Waits for `work` within what is left.
    pub(super) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Exhausted> {
        tokio::pin!(work);
        // What is there already, as the rest of a short answer, costs no clock and no timer.
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Ok(done);
        }
        loop {
            let (piece, begun) = (self.left.min(PIECE), Instant::now());
            let done = timeout(piece, &mut work).await;
            let passed = begun.elapsed();
            if passed < piece + LATE {
                self.left -= passed.min(piece);
            }
            match done {
                Ok(done) => return Ok(done),
                Err(_) if self.left.is_zero() => return Err(Exhausted),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_ends_a_wait_and_counts_over_several() {
        let begun = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(30));
        assert_eq!(patience.wait(async { 7 }).await, Ok(7));
        assert_eq!(patience.wait(std::future::pending::<()>()).await, Err(Exhausted));
        assert!(begun.elapsed() >= Duration::from_millis(30));
        assert_eq!(patience.wait(std::future::pending::<()>()).await, Err(Exhausted));
    }
}
