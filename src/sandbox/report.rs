//! One line per request on stdout.

use crate::job::Channel;
use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Lines that wait for a slow reader; further ones are left out.
const WAITING: usize = 1024;

/// Writes from a thread of its own, because a reader that stopped reading must not stop the
/// sandbox. Lines beyond those waiting are left out.
#[derive(Debug)]
pub(super) struct Report(SyncSender<String>);

/// The end of a report's thread.
#[derive(Debug)]
pub(super) struct Finished(oneshot::Receiver<()>);

impl Report {
    /// Starts writing to `out`, until every `Report` is gone.
    pub(super) fn start(mut out: impl Write + Send + 'static) -> std::io::Result<(Self, Finished)> {
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let (done, finished) = oneshot::channel();
        std::thread::Builder::new().name("sandbox-report".to_owned()).spawn(move || {
            for line in waiting {
                // A closed pipe takes nothing more: the sandbox goes on without.
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            let _ = done.send(());
        })?;
        Ok((Report(lines), Finished(finished)))
    }

    pub(super) fn line(&self, line: String) {
        let _ = self.0.try_send(line);
    }
}

impl Finished {
    /// Waits for the last line, up to a second.
    pub(super) async fn wait(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0).await;
    }
}

/// `chat #8289 case 2069 -> 200`: ids and what was answered, never the text.
pub(super) fn line(
    channel: Channel,
    id: Option<i64>,
    case: Option<i64>,
    answered: impl std::fmt::Display,
) -> String {
    let mut line = channel.to_string();
    if let Some(id) = id {
        line += &format!(" #{id}");
    }
    if let Some(case) = case {
        line += &format!(" case {case}");
    }
    format!("{line} -> {answered}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_line_has_ids_and_the_answer() {
        assert_eq!(line(Channel::Chat, Some(8289), Some(2069), 200), "chat #8289 case 2069 -> 200");
        assert_eq!(line(Channel::Sms, None, Some(9), 503), "sms case 9 -> 503");
        assert_eq!(line(Channel::Mail, None, None, "dropped"), "mail -> dropped");
    }

    /// Blocks until the test lets it write.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_stops_nothing() {
        let (release, stuck) = mpsc::channel();
        let (report, finished) = Report::start(Stuck(stuck)).unwrap();
        for n in 0..10 * WAITING {
            report.line(n.to_string());
        }
        drop((report, release));
        finished.wait().await;
    }
}
