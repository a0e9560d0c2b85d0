//! What all routes share: places for requests, and memory for messages that are being sent.

use crate::queue::claim::{BytesLeft, SMALL_BYTES};

/// The jobs that are claimed, from the claim until they have ended or gone back.
pub(super) struct Budget {
    /// How many jobs may be out at once.
    pub places: u32,
    /// How many bytes of payloads may be out at once.
    pub bytes: u64,
    jobs: u32,
    small: u64,
    large: u64,
}

impl Budget {
    pub fn new(places: u32, bytes: u64) -> Budget {
        Budget { places, bytes, jobs: 0, small: 0, large: 0 }
    }

    /// With the limits of `fresh`, and with what is out now.
    pub fn limited_as(self, fresh: &Budget) -> Budget {
        Budget { places: fresh.places, bytes: fresh.bytes, ..self }
    }

    pub fn took(&mut self, payload: usize) {
        self.jobs += 1;
        *self.of_its_size(payload) += payload as u64;
    }

    pub fn has_back(&mut self, payload: usize) {
        self.jobs = self.jobs.saturating_sub(1);
        let bytes = self.of_its_size(payload);
        *bytes = bytes.saturating_sub(payload as u64);
    }

    fn of_its_size(&mut self, payload: usize) -> &mut u64 {
        if payload > SMALL_BYTES { &mut self.large } else { &mut self.small }
    }

    /// How many more jobs may go out, with `most` as another limit.
    pub fn places_left(&self, most: u32) -> u32 {
        self.places.min(most).saturating_sub(self.jobs)
    }

    /// A quarter is reserved for small ones: a chat does not wait for a mail's attachments.
    pub fn bytes_left(&self) -> BytesLeft {
        let small = self.bytes / 4;
        BytesLeft {
            small: small.saturating_sub(self.small),
            large: (self.bytes - small).saturating_sub(self.large),
            alone: self.large == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_and_what_is_large_have_bytes_of_their_own() {
        let mut budget = Budget::new(10, 4_000_000);
        budget.took(SMALL_BYTES);
        budget.took(5_000_000);
        let left = BytesLeft { small: 1_000_000 - SMALL_BYTES as u64, large: 0, alone: false };
        assert_eq!((budget.bytes_left(), budget.places_left(u32::MAX)), (left, 8));
        assert_eq!(budget.places_left(1), 0);
        budget.has_back(5_000_000);
        budget.has_back(SMALL_BYTES);
        let all = BytesLeft { small: 1_000_000, large: 3_000_000, alone: true };
        assert_eq!((budget.bytes_left(), budget.places_left(u32::MAX)), (all, 10));
    }
}
