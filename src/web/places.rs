//! How many connections are served at a time, and which one makes room for another.
//!
//! A newcomer always gets a place, so that nobody keeps others out by holding connections open.
//! Where all are taken it is that of whoever has had no request begin or end for the longest time:
//! half a head, half a body, an idle connection, an answer that nobody reads. Whoever asks in full
//! at once is safe until as many others as there are places have come.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// All places.
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by: HashMap<u64, Held>,
    next: u64,
}

struct Held {
    since: Instant,
    /// Never used: dropped, it tells the connection to end.
    _keep: oneshot::Sender<Infallible>,
}

/// One place, until it is dropped.
pub struct Place {
    pub holder: Holder,
    lost: oneshot::Receiver<Infallible>,
}

/// Whose place it is.
#[derive(Clone)]
pub struct Holder {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    pub fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { most, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place; where there is none left, another's.
    pub fn take(self: &Arc<Self>, now: Instant) -> Place {
        let (keep, lost) = oneshot::channel();
        let mut taken = self.taken();
        if taken.by.len() >= self.most
            && let Some(longest) = taken.longest()
        {
            taken.by.remove(&longest);
        }
        let number = taken.next;
        taken.next += 1;
        taken.by.insert(number, Held { since: now, _keep: keep });
        Place { holder: Holder { places: Arc::clone(self), number }, lost }
    }
}

impl Taken {
    fn longest(&self) -> Option<u64> {
        let held = self.by.iter().min_by_key(|(number, held)| (held.since, **number));
        held.map(|(number, _)| *number)
    }
}

impl Place {
    /// Waits until another has it.
    pub async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holder.places.taken().by.remove(&self.holder.number);
    }
}

impl Holder {
    /// A request has begun or ended.
    pub fn goes_on(&self, now: Instant) {
        if let Some(held) = self.places.taken().by.get_mut(&self.number) {
            held.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn who_waits_longest_makes_room() {
        let (places, begun) = (Places::new(2), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut asks = places.take(begun);
        let mut half = places.take(after(1));
        asks.holder.goes_on(after(2));
        let mut newcomer = places.take(after(3));
        assert!(is_lost(&mut half) && !is_lost(&mut asks) && !is_lost(&mut newcomer));
        let mut another = places.take(after(4));
        assert!(is_lost(&mut asks) && !is_lost(&mut newcomer) && !is_lost(&mut another));
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let (places, now) = (Places::new(1), Instant::now());
        drop(places.take(now));
        let mut kept = places.take(now);
        assert!(!is_lost(&mut kept));
        assert_eq!(places.taken().by.len(), 1);
    }
}
