//! Caches expensive counts and limits how often they are refreshed.
//!
//! The more rows the table has, the longer a count takes. It is repeated only after [`REST`] times
//! as long as it took, so all counting uses at most a fiftieth of a core.

use super::reader::ReadError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const REST: u32 = 50;
/// Counts that rest for less than this are cheap: our own change makes them stale.
const CHEAP: Duration = Duration::from_secs(5);

/// The last count, and when the next one is due.
pub struct Cache<T> {
    /// Held while somebody counts.
    counting: tokio::sync::Mutex<()>,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    last: Option<(T, Instant)>,
    failed: bool,
    until: Option<Instant>,
    rest: Duration,
}

/// A count and its age. `None`: counting took too long, and there is no earlier value.
#[derive(Debug, Clone)]
pub struct Counted<T> {
    pub value: Option<T>,
    pub age: Duration,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        let kept = Kept { last: None, failed: false, until: None, rest: Duration::ZERO };
        Cache { counting: tokio::sync::Mutex::default(), kept: Mutex::new(kept) }
    }
}

impl<T: Clone> Cache<T> {
    /// The cached value while it is fresh, otherwise what `count` returns. Only one caller counts at a
    /// time; the others wait for it.
    ///
    /// # Errors
    /// Those of `count`, which are not cached; but a count that took too long is no error: the
    /// last value stays.
    pub async fn get(
        &self,
        count: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Counted<T>, ReadError> {
        let _counting = self.counting.lock().await;
        if self.is_fresh() {
            return Ok(self.last());
        }
        let begun = Instant::now();
        let counted = count.await;
        let now = Instant::now();
        {
            let mut kept = self.kept();
            kept.failed = counted.is_err();
            kept.rest = now.duration_since(begun) * REST;
            match counted {
                Ok(value) => kept.last = Some((value, now)),
                Err(ReadError::TooLong) => {}
                Err(e) => return Err(e),
            }
            kept.until = Some(now + kept.rest);
        }
        Ok(self.last())
    }

    /// The last value, however old.
    pub fn last(&self) -> Counted<T> {
        let kept = self.kept();
        let age = kept.last.as_ref().map_or(Duration::ZERO, |(_, at)| at.elapsed());
        Counted { value: kept.last.as_ref().map(|(value, _)| value.clone()), age }
    }

    fn is_fresh(&self) -> bool {
        self.kept().until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the last attempt at counting failed or took too long.
    pub fn has_failed(&self) -> bool {
        self.kept().failed
    }

    /// After our own change the next page counts again, if counting is cheap.
    pub fn invalidate(&self) {
        let mut kept = self.kept();
        if kept.rest < CHEAP {
            kept.until = None;
        }
    }

    /// The next caller gets a fresh value, however long reading it takes.
    pub fn expire(&self) {
        self.kept().until = None;
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_counts_are_cached_for_longer() {
        let cache = Cache::default();
        let slow = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(1)
        };
        assert_eq!(cache.get(slow).await.unwrap().value, Some(1));
        // 50 times 200 ms are 10 s: far longer than this test takes.
        assert_eq!(cache.get(async { Ok(2) }).await.unwrap().value, Some(1));
        cache.invalidate();
        assert_eq!(cache.get(async { Ok(3) }).await.unwrap().value, Some(1));
    }

    #[tokio::test]
    async fn the_last_value_stays_when_counting_takes_too_long() {
        let cache = Cache::default();
        let never = async { Err::<i32, _>(ReadError::TooLong) };
        assert_eq!(cache.get(never).await.unwrap().value, None);
        assert!(cache.has_failed());
        cache.invalidate();
        assert_eq!(cache.get(async { Ok(4) }).await.unwrap().value, Some(4));
        cache.invalidate();
        let never = async { Err(ReadError::TooLong) };
        assert_eq!(cache.get(never).await.unwrap().value, Some(4));
        cache.invalidate();
        assert!(cache.get(async { Err(ReadError::Busy) }).await.is_err());
        assert!(cache.has_failed());
        assert_eq!(cache.last().value, Some(4));
    }

    #[tokio::test]
    async fn only_one_counts_at_a_time_and_one_that_gave_up_is_replaced() {
        let cache = Cache::default();
        let given_up = cache.get(std::future::pending::<Result<i32, ReadError>>());
        let second = cache.get(async { Ok(5) });
        tokio::pin!(second);
        {
            tokio::pin!(given_up);
            let both = async {
                tokio::join!(
                    given_up.as_mut(),
                    tokio::time::timeout(Duration::from_millis(20), second.as_mut())
                )
            };
            assert!(tokio::time::timeout(Duration::from_millis(50), both).await.is_err());
        }
        // Its future is dropped, like that of a client that has gone.
        assert_eq!(second.await.unwrap().value, Some(5));
    }
}
