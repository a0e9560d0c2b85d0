//! The moment a request's first byte may leave, and the body type that marks it.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

const OPEN: u8 = 0;
const PASSED: u8 = 1;
const SHUT: u8 = 2;

/// What one request must pass before its first byte leaves: it passes, or the gate is shut
/// before, never both. One per attempt; clones are the same gate.
///
/// Checked in hyper 1.12 (`proto/h1/dispatch.rs`, `poll_write`): a head is only buffered until
/// the body was polled in the same turn, and a body that fails ends the connection unflushed.
/// hyper-util 0.1 sends again only what it gets back from the queue, before that turn.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU8>);

impl Gate {
    pub fn new() -> Self {
        Gate::default()
    }

    /// Whether the request may have left, in part at least.
    pub fn passed(&self) -> bool {
        self.0.load(Ordering::SeqCst) == PASSED
    }

    /// Shuts the gate. True: no byte left and none will; false: too late.
    pub fn shut(&self) -> bool {
        self.close() != Before::Passed
    }

    pub(super) fn close(&self) -> Before {
        match self.0.compare_exchange(OPEN, SHUT, Ordering::SeqCst, Ordering::SeqCst) {
            Err(PASSED) => Before::Passed,
            Err(_) => Before::Shut,
            Ok(_) => Before::Open,
        }
    }

    pub(super) fn shut_on_drop(&self) -> ShutOnDrop<'_> {
        ShutOnDrop(self)
    }

    fn pass(&self) -> bool {
        self.0.compare_exchange(OPEN, PASSED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// A request body of a known length that passes the gate when it is first polled.
    pub(super) fn body(&self, bytes: Bytes) -> GatedBody {
        GatedBody { gate: self.clone(), bytes: Some(bytes) }
    }
}

/// How a gate was found by the one who closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Open,
    Passed,
    Shut,
}

/// hyper drops an abandoned request only when it next looks: until then it could still pass.
pub(super) struct ShutOnDrop<'a>(&'a Gate);

impl Drop for ShutOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

pub(super) struct GatedBody {
    gate: Gate,
    bytes: Option<Bytes>,
}

#[derive(Debug, thiserror::Error)]
#[error("withdrawn before its first byte left")]
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
