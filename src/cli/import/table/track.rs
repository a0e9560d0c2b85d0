//! The input of the CSV reader. It knows on which line a record begins and whether the file ends
//! inside quotes, and stops a record that is too long.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What has been read so far; shared with the owner of the CSV reader.
#[derive(Clone)]
pub struct Track(Arc<Mutex<TrackState>>);

struct TrackState {
    separator: u8,
    /// Bytes that the current record may still take.
    left: u64,
    offset: u64,
    /// How many lines ended before `offset`, by LF, CR or both.
    ends: u64,
    /// The last byte was a CR.
    returned: bool,
    in_line: bool,
    cell: Cell,
    /// The input has ended.
    ended: bool,
    /// The offset and the number, from 1, of each line that is not empty.
    starts: VecDeque<(u64, u64)>,
}

/// The position of the last byte in its cell, as the CSV reader sees it: a quote opens only at the
/// beginning of a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Start,
    Bare,
    Quoted,
    /// After a quote inside quotes: it closes them, or is the first of two.
    Quote,
}

impl Track {
    pub fn of_cells_between(separator: u8) -> Track {
        Track(Arc::new(Mutex::new(TrackState {
            separator,
            left: 0,
            offset: 0,
            ends: 0,
            returned: false,
            in_line: false,
            cell: Cell::Start,
            ended: false,
            starts: VecDeque::new(),
        })))
    }

    /// A new record begins, of at most this many bytes.
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

    /// Whether `offset` is the end of the file and inside quotes.
    pub fn ends_in_quotes(&self, offset: u64) -> bool {
        let seen = self.seen();
        seen.ended && seen.offset == offset && seen.cell == Cell::Quoted
    }

    fn seen(&self) -> MutexGuard<'_, TrackState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrackState {
    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.note_line(byte);
            self.cell = match (self.cell, byte) {
                (Cell::Start | Cell::Quote, b'"') => Cell::Quoted,
                (Cell::Quoted, b'"') => Cell::Quote,
                (Cell::Quoted, _) => Cell::Quoted,
                (_, b'\n' | b'\r') => Cell::Start,
                (_, byte) if byte == self.separator => Cell::Start,
                _ => Cell::Bare,
            };
            self.offset += 1;
        }
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.ended = bytes.is_empty();
    }

    fn note_line(&mut self, byte: u8) {
        let is_second_half = byte == b'\n' && self.returned;
        self.returned = byte == b'\r';
        match byte {
            b'\n' | b'\r' => {
                self.ends += u64::from(!is_second_half);
                self.in_line = false;
            }
            _ if self.in_line => {}
            _ => {
                self.in_line = true;
                self.starts.push_back((self.offset, self.ends + 1));
            }
        }
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
