//! A child process: its output lines, its CPU time and its exit within a limit. Dropping it kills it.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub struct Process {
    name: String,
    pid: libc::pid_t,
    pidfd: OwnedFd,
    spawned: Instant,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: File,
    reaped: bool,
}

/// A process that has exited with code 0.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// From before the spawn to the exit, seconds.
    pub seconds: f64,
    /// User and system time of the whole process, seconds.
    pub cpu_seconds: f64,
}

impl Process {
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Process> {
        let name = name.into();
        let stderr = tempfile::tempfile().context("a temporary file for a process's log")?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
        // However the benchmark ends, even by `kill -9`, its child processes end with it.
        // SAFETY: prctl is async-signal-safe and touches no memory of this process.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let spawned = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let pid = libc::pid_t::try_from(child.id()).context("a pid")?;
        // SAFETY: takes no pointers; the pid is our own child's, not yet waited for.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        ensure!(pidfd >= 0, "pidfd_open of {name}: {}", std::io::Error::last_os_error());
        // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(i32::try_from(pidfd)?) };
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        // From here on we call wait4 ourselves, for the times that `Child` does not report.
        Ok(Process { name, pid, pidfd, spawned, stdin, lines, stderr, reaped: false })
    }

    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is piped")?;
        writeln!(stdin, "{line}").with_context(|| format!("{} does not listen", self.name))
    }

    /// The next line of its standard output.
    pub fn line(&mut self, limit: Duration) -> Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(_) => bail!("{} said nothing for {limit:?}; its log:\n{}", self.name, self.log()),
        }
    }

    /// What it has written to standard error; the last 64 KiB.
    pub fn log(&self) -> String {
        const LAST: u64 = 64 * 1024;
        let length = self.stderr.metadata().map_or(0, |meta| meta.len());
        let start = length.saturating_sub(LAST);
        let mut text = vec![0; usize::try_from(length - start).unwrap_or(0)];
        // Without seeking: the child writes at the position that both share.
        match self.stderr.read_exact_at(&mut text, start) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }

    pub fn wait_for_log(&mut self, words: &str, limit: Duration) -> Result<()> {
        let name = self.name.clone();
        crate::poll(&format!("{words:?} in the log of {name}"), limit, || {
            let log = self.log();
            if log.contains(words) {
                return Ok(Some(()));
            }
            ensure!(!self.ended_within(Duration::ZERO)?, "{name} ended early:\n{log}");
            Ok(None)
        })
    }

    /// Waits for an exit with code 0.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        ensure!(self.ended_within(limit)?, "{} runs after {limit:?}:\n{}", self.name, self.log());
        let seconds = self.spawned.elapsed().as_secs_f64();
        let (status, cpu_seconds) = self.reap()?;
        let done = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
        ensure!(done, "{} ended with status {status:#x}:\n{}", self.name, self.log());
        Ok(Ended { seconds, cpu_seconds })
    }

    /// SIGTERM, then [`Process::wait`].
    pub fn stop(self, limit: Duration) -> Result<Ended> {
        self.signal(libc::SIGTERM);
        self.wait(limit)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(self) {
        drop(self);
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: takes no pointers; the pid is our own child's, not yet waited for.
        unsafe { libc::kill(self.pid, signal) };
    }

    fn ended_within(&self, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            let mut poll =
                libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let left = end.saturating_duration_since(Instant::now());
            let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: one pollfd, which lives until the call returns.
            match unsafe { libc::poll(&raw mut poll, 1, left) } {
                0 => return Ok(false),
                1 => return Ok(true),
                _ => {
                    let error = std::io::Error::last_os_error();
                    ensure!(error.kind() == std::io::ErrorKind::Interrupted, "poll: {error}");
                }
            }
        }
    }

    /// The exit status from wait4, and the CPU seconds.
    fn reap(&mut self) -> Result<(libc::c_int, f64)> {
        let mut status = 0;
        // SAFETY: rusage is plain numbers, for which zeros are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers live until the call returns.
        let reaped = unsafe { libc::wait4(self.pid, &raw mut status, 0, &raw mut usage) };
        ensure!(reaped == self.pid, "wait4: {}", std::io::Error::last_os_error());
        self.reaped = true;
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Ok((status, seconds(usage.ru_utime) + seconds(usage.ru_stime)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(libc::SIGKILL);
            let _ = self.reap();
        }
    }
}
