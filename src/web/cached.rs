//! What is dear to count is kept, and counted anew only so often that it stays a small part of
//! what the machine does.

use super::reader::ReadError;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Counted anew after so many times what the counting took.
const REST: u32 = 50;

/// The last value of something dear; `None` where it took too long.
pub struct Cached<T>(Mutex<Option<Kept<T>>>);

struct Kept<T> {
    value: Option<T>,
    at: Instant,
    until: Instant,
}

/// A value, and how long ago it was counted.
#[derive(Debug, Clone)]
pub struct Counted<T> {
    pub value: Option<T>,
    pub age: Duration,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Cached(Mutex::new(None))
    }
}

impl<T: Clone> Cached<T> {
    /// The kept value while it is good, else what `count` gives. What takes too long is no error:
    /// it keeps its last value.
    pub async fn get(
        &self,
        count: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<Counted<T>, ReadError> {
        let mut kept = self.0.lock().await;
        let begun = Instant::now();
        if let Some(good) = kept.as_ref().filter(|kept| begun < kept.until) {
            let age = begun.duration_since(good.at);
            return Ok(Counted { value: good.value.clone(), age });
        }
        let (value, at) = match count.await {
            Ok(value) => (Some(value), Instant::now()),
            Err(ReadError::TooLong) => match kept.take() {
                Some(old) => (old.value, old.at),
                None => (None, Instant::now()),
            },
            Err(e) => return Err(e),
        };
        let now = Instant::now();
        let until = now + now.duration_since(begun) * REST;
        *kept = Some(Kept { value: value.clone(), at, until });
        Ok(Counted { value, age: now.duration_since(at) })
    }

    /// After a change of our own: the next one who asks sees it, where counting is cheap.
    pub async fn forget(&self) {
        const CHEAP: Duration = Duration::from_secs(5);
        if let Some(kept) = self.0.lock().await.as_mut()
            && kept.until.duration_since(kept.at) < CHEAP
        {
            kept.until = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_took_long_is_kept_for_long() {
        let cached = Cached::default();
        let slow = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(1)
        };
        assert_eq!(cached.get(slow).await.unwrap().value, Some(1));
        // 50 times 200 ms are 10 s: far beyond what this test takes.
        assert_eq!(cached.get(async { Ok(2) }).await.unwrap().value, Some(1));
        cached.forget().await;
        assert_eq!(cached.get(async { Ok(3) }).await.unwrap().value, Some(1));
    }

    #[tokio::test]
    async fn what_takes_too_long_keeps_its_last_value() {
        let cached = Cached::default();
        let never = async { Err::<i32, _>(ReadError::TooLong) };
        assert_eq!(cached.get(never).await.unwrap().value, None);
        cached.forget().await;
        assert_eq!(cached.get(async { Ok(4) }).await.unwrap().value, Some(4));
        cached.forget().await;
        let never = async { Err(ReadError::TooLong) };
        assert_eq!(cached.get(never).await.unwrap().value, Some(4));
        cached.forget().await;
        assert!(cached.get(async { Err(ReadError::Busy) }).await.is_err());
    }
}
