//! The reader under the CSV reader: it knows on which line a record begins, and ends one that takes
//! more than its share.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What has been read so far; shared with the CSV reader's owner.
#[derive(Clone, Default)]
pub struct Track(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Bytes that the current record may still take.
    left: u64,
    offset: u64,
    /// How many line ends came before `offset`.
    ends: u64,
    in_line: bool,
    /// Where each line begins that is not empty, and its number from 1.
    starts: VecDeque<(u64, u64)>,
}

impl Track {
    /// A new record begins: it may take so many bytes.
    pub fn allow(&self, bytes: u64) {
        self.seen().left = bytes;
    }

    pub fn is_used_up(&self) -> bool {
        self.seen().left == 0
    }

    /// The line on which the record begins that follows the byte `offset`. The CSV reader's own count
    /// leaves out the empty lines, and the second half of a line end, that it has not passed yet.
    pub fn line(&self, offset: u64) -> u64 {
        let mut seen = self.seen();
        while seen.starts.front().is_some_and(|(start, _)| *start < offset) {
            seen.starts.pop_front();
        }
        seen.starts.front().map_or(seen.ends + 1, |(_, number)| *number)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    self.ends += 1;
                    self.in_line = false;
                }
                b'\r' => {}
                _ if self.in_line => {}
                _ => {
                    self.in_line = true;
                    self.starts.push_back((self.offset, self.ends + 1));
                }
            }
            self.offset += 1;
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
    }
}

pub struct Tracked<R> {
    pub input: R,
    pub track: Track,
}

impl<R: Read> Read for Tracked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.track.is_used_up() {
            return Err(io::Error::other("a record is too long"));
        }
        let read = self.input.read(buffer)?;
        self.track.seen().note(&buffer[..read]);
        Ok(read)
    }
}
