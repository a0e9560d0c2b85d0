//! What all routes share: a number of jobs, and memory for their messages.

use super::RouteId;
use crate::queue::claim::{BytesLeft, SMALL_BYTES};

/// How many requests may be out at once, and how many bytes their payloads may have together.
pub(super) struct Capacity {
    pub jobs: u32,
    pub bytes: u64,
}

/// What the requests in flight take up of it, and of each route's places.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Load {
    jobs: u32,
    small_bytes: u64,
    large_bytes: u64,
    of_route: Vec<u32>,
}

impl Load {
    /// A request with this many bytes of payload begins.
    pub fn add(&mut self, route: Option<RouteId>, payload_bytes: usize) {
        self.jobs += 1;
        *self.bytes_of_its_size(payload_bytes) += payload_bytes as u64;
        if let Some(RouteId(at)) = route {
            if self.of_route.len() <= at {
                self.of_route.resize(at + 1, 0);
            }
            self.of_route[at] += 1;
        }
    }

    /// It has ended.
    pub fn remove(&mut self, route: Option<RouteId>, payload_bytes: usize) {
        self.jobs = self.jobs.saturating_sub(1);
        let bytes = self.bytes_of_its_size(payload_bytes);
        *bytes = bytes.saturating_sub(payload_bytes as u64);
        if let Some(count) = route.and_then(|RouteId(at)| self.of_route.get_mut(at)) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many requests of the route are out.
    pub fn of(&self, RouteId(at): RouteId) -> u32 {
        self.of_route.get(at).copied().unwrap_or(0)
    }

    fn bytes_of_its_size(&mut self, payload_bytes: usize) -> &mut u64 {
        match payload_bytes > SMALL_BYTES {
            true => &mut self.large_bytes,
            false => &mut self.small_bytes,
        }
    }
}

impl Capacity {
    /// How many more jobs may be claimed, with `most` as another limit.
    pub fn jobs_left(&self, load: &Load, most: u32) -> u32 {
        self.jobs.min(most).saturating_sub(load.jobs)
    }

    /// A quarter is reserved for small ones: a chat does not wait for an email's attachments.
    pub fn bytes_left(&self, load: &Load) -> BytesLeft {
        let small = self.bytes / 4;
        BytesLeft {
            small: small.saturating_sub(load.small_bytes),
            large: (self.bytes - small).saturating_sub(load.large_bytes),
            alone: load.large_bytes == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_messages_have_separate_bytes() {
        let (capacity, mut load) = (Capacity { jobs: 10, bytes: 4_000_000 }, Load::default());
        load.add(None, SMALL_BYTES);
        load.add(Some(RouteId(3)), 5_000_000);
        let left = BytesLeft { small: 1_000_000 - SMALL_BYTES as u64, large: 0, alone: false };
        assert_eq!((capacity.bytes_left(&load), capacity.jobs_left(&load, u32::MAX)), (left, 8));
        assert_eq!((load.of(RouteId(3)), load.of(RouteId(4))), (1, 0));
        assert_eq!(capacity.jobs_left(&load, 1), 0);
        load.remove(Some(RouteId(3)), 5_000_000);
        load.remove(None, SMALL_BYTES);
        let all = BytesLeft { small: 1_000_000, large: 3_000_000, alone: true };
        assert_eq!((capacity.bytes_left(&load), capacity.jobs_left(&load, u32::MAX)), (all, 10));
    }
}
