//! Whether a request may have left this process: the gate before its first byte.

use super::Lease;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

const OPEN: u8 = 0;
const PASSED: u8 = 1;
const SHUT: u8 = 2;

/// Either a request passes the gate before its first byte is written, or the gate is shut first;
/// never both. One per attempt; clones share it. It is shut by itself when the node's lease has ended:
/// from then on other nodes may decide the job.
///
/// Relies on hyper 1.12 (`proto/h1/dispatch.rs`, `poll_write`): the head is only buffered until the
/// body has been polled in the same call, and a body that fails closes the connection without a
/// flush. hyper-util 0.1 retries only requests that were still queued, before that call.
#[derive(Debug, Clone)]
pub struct WriteGate {
    state: Arc<AtomicU8>,
    lease: Lease,
}

impl Default for WriteGate {
    /// Without a lease that ends.
    fn default() -> Self {
        WriteGate::under(&Lease::unlimited())
    }
}

impl WriteGate {
    pub fn new() -> Self {
        WriteGate::default()
    }

    pub fn under(lease: &Lease) -> Self {
        WriteGate { state: Arc::default(), lease: lease.clone() }
    }

    /// Whether the request may have left, at least in part.
    pub fn passed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == PASSED
    }

    /// Shuts the gate. True: nothing was written and nothing will be; false: it is too late.
    pub fn shut(&self) -> bool {
        self.close() != GateBefore::Passed
    }

    pub(super) fn close(&self) -> GateBefore {
        match self.state.compare_exchange(OPEN, SHUT, Ordering::SeqCst, Ordering::SeqCst) {
            Err(PASSED) => GateBefore::Passed,
            Err(_) => GateBefore::Shut,
            Ok(_) => GateBefore::Open,
        }
    }

    pub(super) fn shut_on_drop(&self) -> ShutOnDrop<'_> {
        ShutOnDrop(self)
    }

    /// Looks at the lease as late as can be: right before the first byte.
    fn pass(&self) -> bool {
        if self.lease.has_ended() {
            self.close();
        }
        self.state.compare_exchange(OPEN, PASSED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// A request body that passes the gate when it is first polled.
    pub(super) fn body(&self, bytes: Bytes) -> GatedBody {
        GatedBody { gate: self.clone(), bytes: Some(bytes) }
    }
}

/// The state of a gate before it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GateBefore {
    Open,
    Passed,
    Shut,
}

/// hyper drops an abandoned request only when it is next polled; until then it could still be written.
pub(super) struct ShutOnDrop<'a>(&'a WriteGate);

impl Drop for ShutOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub(super) struct GatedBody {
    gate: WriteGate,
    bytes: Option<Bytes>,
}

#[derive(Debug, thiserror::Error)]
#[error("withdrawn before the request was written")]
pub(super) struct Withdrawn;

impl Body for GatedBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        Poll::Ready(
            self.bytes.take().map(|bytes| {
                if self.gate.pass() { Ok(Frame::data(bytes)) } else { Err(Withdrawn) }
            }),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_does_not_open_after_the_lease() {
        let lease = Lease::unlimited();
        let (early, late) = (WriteGate::under(&lease), WriteGate::under(&lease));
        assert!(early.pass());
        lease.end();
        assert!(!late.pass() && !late.passed() && late.shut());
        assert!(early.passed(), "a request that has begun continues");
    }
}
