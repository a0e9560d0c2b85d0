//! Best-effort output: a thread writes lines from a bounded queue, so that a reader that has
//! stopped reading does not block the program.
//!
//! tracing-appender does not fit: when it ends, its guard reports a stuck writer on stderr, where
//! it may block forever; and it accepts only bytes, but the journal needs fields.

use prometheus_client::metrics::counter::Counter;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines may wait. Further ones are lost.
pub const CAPACITY: usize = 1024;
/// How often [`Spool::flush`] checks whether everything is written.
const FLUSH_POLL: Duration = Duration::from_millis(1);

/// Writes the items of a [`Spool`], one after the other.
pub trait Outlet: Send + 'static {
    /// A line of text, or something else that is written as a whole.
    type Item: Send + 'static;

    /// Writes the item; it may block. One that cannot be written counts as lost.
    ///
    /// # Errors
    /// Those of the writer.
    fn write(&mut self, item: Self::Item) -> io::Result<()>;

    /// Writing works again; `lines` were lost since the last report.
    fn report_lost(&mut self, lines: u64);
}

/// A queue of lines and the thread that writes them.
#[derive(Debug)]
pub struct Spool<L> {
    sender: SyncSender<L>,
    /// Lines that have been put in and are not written yet.
    waiting: Arc<AtomicUsize>,
    lost: Counter,
}

impl<L: Send + 'static> Spool<L> {
    /// Starts the thread with this name.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(name: &str, mut outlet: impl Outlet<Item = L>) -> io::Result<Spool<L>> {
        let (sender, lines) = sync_channel(CAPACITY);
        let (waiting, lost) = (Arc::new(AtomicUsize::new(0)), Counter::default());
        let spool = Spool { sender, waiting: Arc::clone(&waiting), lost: lost.clone() };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut reported = 0;
            for line in lines {
                let written = outlet.write(line);
                if written.is_err() {
                    lost.inc();
                }
                // The report itself may go through the queue.
                let has_room = waiting.load(Ordering::Relaxed) <= CAPACITY / 2;
                let lost = lost.get();
                if written.is_ok() && has_room && lost > reported {
                    outlet.report_lost(lost - reported);
                    reported = lost;
                }
                waiting.fetch_sub(1, Ordering::Release);
            }
        })?;
        Ok(spool)
    }

    /// Never blocks. If there is no room, the line is lost and counted.
    pub fn put(&self, line: L) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(line).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.inc();
        }
    }

    /// How many lines were lost so far.
    pub fn lost(&self) -> Counter {
        self.lost.clone()
    }

    /// Blocks until all lines are written, for at most `limit`. For the end of the process.
    pub fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while self.waiting.load(Ordering::Acquire) > 0 && Instant::now() < end {
            thread::sleep(FLUSH_POLL);
        }
    }
}

/// A standard stream without its lock, so that a thread stuck in a write does not block the others.
///
/// # Errors
/// If there is no such stream, or no file descriptor left.
pub fn unlocked(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Lines of text.
pub struct TextOutlet(pub File);

impl Outlet for TextOutlet {
    type Item = String;

    fn write(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.0.write_all(line.as_bytes())
    }

    fn report_lost(&mut self, lines: u64) {
        let _ = match lines {
            1 => writeln!(self.0, "(1 line is missing here: it was not read in time)"),
            _ => writeln!(self.0, "({lines} lines are missing here: they were not read in time)"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Writes a line each time the test allows it, or fails.
    struct Slow {
        go: Receiver<io::Result<()>>,
        written: Sender<String>,
    }

    impl Outlet for Slow {
        type Item = String;

        fn write(&mut self, line: String) -> io::Result<()> {
            let done = self.go.recv().unwrap_or(Ok(()));
            if done.is_ok() {
                let _ = self.written.send(line);
            }
            done
        }

        fn report_lost(&mut self, lines: u64) {
            let _ = self.written.send(format!("lost {lines}"));
        }
    }

    fn slow() -> (Spool<String>, Sender<io::Result<()>>, Receiver<String>) {
        let ((go, gone), (written, seen)) = (channel(), channel());
        (Spool::start("slow", Slow { go: gone, written }).unwrap(), go, seen)
    }

    #[test]
    fn a_stuck_writer_blocks_nobody_and_lost_lines_are_counted() {
        let (spool, go, seen) = slow();
        for n in 0..3 * CAPACITY {
            spool.put(n.to_string());
        }
        let lost = spool.lost().get();
        assert!((2 * CAPACITY as u64 - 1..=2 * CAPACITY as u64).contains(&lost), "{lost}");
        spool.flush(Duration::from_millis(20));
        drop(go);
        spool.flush(Duration::from_secs(20));
        let lines: Vec<String> = seen.try_iter().collect();
        assert!(lines.contains(&format!("lost {lost}")), "{lines:?}");
        let numbers: Vec<usize> = lines.iter().filter_map(|line| line.parse().ok()).collect();
        // The thread may take its first line late: then the last one kept is any later one.
        assert_eq!(numbers[..CAPACITY], (0..CAPACITY).collect::<Vec<_>>());
        assert!(numbers.is_sorted(), "in their order");
        assert_eq!(numbers.len() as u64 + lost, 3 * CAPACITY as u64);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_reported_once_writing_works_again() {
        let (spool, go, seen) = slow();
        for line in ["a", "b", "c", "d"] {
            spool.put(line.to_owned());
        }
        let full = || Err(io::ErrorKind::StorageFull.into());
        for done in [Ok(()), full(), full(), Ok(())] {
            go.send(done).unwrap();
        }
        spool.flush(Duration::from_secs(20));
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["a", "d", "lost 2"]);
    }
}
