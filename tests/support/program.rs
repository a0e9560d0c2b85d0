//! The built program: one command run to its end, or the daemon kept running.

use super::{SOON, eventually};
use std::fmt;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How to start the binary: a clean environment, a working folder, some variables.
#[derive(Clone, Debug)]
pub struct Program {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// A command that starts the binary and leaves it its process.
    under: Vec<String>,
}

/// A command that has ended.
#[derive(Clone)]
pub struct Finished {
    pub arguments: Vec<String>,
    /// None: ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finished { arguments, code, stdout, stderr } = self;
        write!(f, "{arguments:?} ended with {code:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

impl Finished {
    /// Panics unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Finished {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Both outputs, for what may stand in either.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl Program {
    pub fn in_folder(folder: &Path) -> Program {
        Program { folder: folder.to_owned(), environment: Vec::new(), under: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Program {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Traced by strace with these options; system calls can be made to fail so.
    pub fn traced(mut self, options: &[&str]) -> Program {
        let trace = self.folder.join("trace");
        let trace = trace.to_str().expect("a path in UTF-8");
        // -D: the daemon is our child, not strace's.
        let strace = ["strace", "-D", "-f", "-qq", "-y", "-o", trace];
        self.under = strace.iter().chain(options).map(|&word| word.to_owned()).collect();
        self
    }

    /// With these limits of open files, the soft one and the hard one.
    pub fn with_open_files(self, soft: u32, hard: u32) -> Program {
        let line = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
        let under = ["sh", "-c", &line, "sh"].map(str::to_owned).to_vec();
        Program { under, ..self }
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with_input(arguments, "")
    }

    /// Runs to the end, with the text on standard input; killed past a time limit.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("piped");
        let _ = stdin.write_all(input.as_bytes()); // it need not read it
        drop(stdin);
        let stdout = Collected::from(child.stdout.take().expect("piped"));
        let stderr = Collected::from(child.stderr.take().expect("piped"));
        let ended = wait(&mut child, Duration::from_secs(60));
        if ended.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let finished = Finished {
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            code: ended.and_then(|status| status.code()),
            stdout: stdout.whole(),
            stderr: stderr.whole(),
        };
        assert!(ended.is_some(), "no end within a minute: {finished:?}");
        finished
    }

    /// With a journal socket that nobody reads: in a separate mount namespace.
    pub fn with_a_stuck_journal(self) -> Program {
        let script = r#"
import os, socket, sys
os.makedirs("/run/systemd/journal")
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
os.set_inheritable(journal.fileno(), True)
os.execv(sys.argv[1], sys.argv[1:])"#;
        let line = r#"mount -t tmpfs none /run && exec python3 -c "$0" "$@""#;
        let under = ["unshare", "-rm", "sh", "-c", line, script].map(str::to_owned).to_vec();
        Program { under, ..self }.env("ACQUIRE_OUTBOX_LOG_FORMAT", "journald")
    }

    /// On a separate terminal, where both outputs are one; no argument may have a quote in it.
    pub fn on_a_terminal(self) -> Program {
        let line = r#"line="stty cols 150 rows 50 -echo; exec"
            for word; do line="$line '$word'"; done
            exec script -q -e -c "$line" /dev/null"#;
        let under = ["sh", "-c", line, "sh"].map(str::to_owned).to_vec();
        Program { under, ..self }.env("SHELL", "/bin/sh").env("TERM", "xterm")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.under.iter().map(String::as_str).collect::<Vec<_>>();
        words.push(env!("CARGO_BIN_EXE_acquire-outbox"));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments).current_dir(&self.folder).env_clear();
        for kept in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts `arguments` (`run`, `sandbox`, ...) and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Daemon {
        Daemon::of(&mut self.command(arguments))
    }

    /// The same, but nobody reads its standard error.
    pub fn start_with_stuck_stderr(&self, arguments: &[&str]) -> (Daemon, StuckPipe) {
        let stuck = StuckPipe::new();
        (Daemon::of(self.command(arguments).stderr(stuck.end())), stuck)
    }

    /// The same, but nobody reads its standard output.
    pub fn start_with_stuck_stdout(&self, arguments: &[&str]) -> (Daemon, StuckPipe) {
        let stuck = StuckPipe::new();
        (Daemon::of(self.command(arguments).stdout(stuck.end())), stuck)
    }
}

/// A pipe that is full and that nobody reads, as small as the system makes it.
pub struct StuckPipe {
    reader: PipeReader,
    writer: PipeWriter,
}

impl StuckPipe {
    pub fn new() -> StuckPipe {
        let (reader, mut writer) = std::io::pipe().unwrap();
        // SAFETY: fcntl with an integer argument, on a descriptor that we own.
        let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
        writer.write_all(&vec![b'.'; usize::try_from(size).unwrap()]).unwrap();
        StuckPipe { reader, writer }
    }

    /// The end to write to, for a child process.
    pub fn end(&self) -> Stdio {
        self.writer.try_clone().unwrap().into()
    }

    /// Reads it from now on, without what filled it.
    pub fn read(self) -> Reading {
        let StuckPipe { mut reader, writer } = self;
        drop(writer);
        let mut filling = vec![0; 4096];
        reader.read_exact(&mut filling).unwrap();
        Reading(Collected::from(reader))
    }
}

/// What has been read from a pipe since it is read again.
pub struct Reading(Collected);

impl Reading {
    pub fn text(&self) -> String {
        self.0.so_far()
    }
}

/// False, and a line that says so, where there is no strace or it may not trace.
pub fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can = tried.is_ok_and(|done| done.status.success());
    if !can {
        super::skipped("strace is not there, or may not trace");
    }
    can
}

/// False, and a line that says so, where a process cannot have its own mounts.
pub fn can_unshare() -> bool {
    let tried =
        Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs none /run"]).output();
    let can = tried.is_ok_and(|done| done.status.success());
    if !can {
        super::skipped("unshare is not there, or may not mount");
    }
    can
}

/// False, and a line that says so, where no terminal can be had.
pub fn has_terminals() -> bool {
    let tried = Command::new("script").args(["-q", "-e", "-c", "true", "/dev/null"]).output();
    let has = tried.is_ok_and(|done| done.status.success());
    if !has {
        super::skipped("script (util-linux) is not there");
    }
    has
}

/// A running program; killed when dropped.
pub struct Daemon {
    child: Child,
    stdout: Collected,
    stderr: Collected,
}

impl Daemon {
    fn of(command: &mut Command) -> Daemon {
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().map_or_else(Collected::nothing, Collected::from);
        let stderr = child.stderr.take().map_or_else(Collected::nothing, Collected::from);
        Daemon { child, stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits until standard error contains the words.
    #[track_caller]
    pub fn wait_for_log(&mut self, words: &str) {
        eventually(SOON, &format!("{words:?} in the log"), || {
            let log = self.stderr();
            let seen = log.contains(words);
            let ended = if seen { None } else { self.child.try_wait().expect("our child") };
            assert!(ended.is_none(), "ended ({ended:?}) before {words:?}:\n{log}");
            seen
        });
    }

    /// Waits until it dispatches.
    #[track_caller]
    pub fn ready(mut self) -> Daemon {
        self.wait_for_log("ready");
        self
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: kill takes no pointers; the pid is our own child's, not yet waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits until the program handles this signal itself.
    #[track_caller]
    pub fn wait_until_it_catches(&self, signal: i32) {
        let status = format!("/proc/{}/status", self.pid());
        eventually(SOON, "it handles the signal", || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            caught.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
        });
    }

    pub fn sigterm(&self) {
        self.signal(libc::SIGTERM);
    }

    /// SIGTERM, then waits until the log says anything new: the signal has been seen.
    #[track_caller]
    pub fn sigterm_seen(&self) {
        let before = self.stderr().len();
        self.sigterm();
        eventually(SOON, "a log line after SIGTERM", || self.stderr().len() > before);
    }

    pub fn kill9(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Waits for its end and gives the outputs; panics past the deadline.
    #[track_caller]
    pub fn wait(mut self, deadline: Duration) -> Finished {
        let ended = wait(&mut self.child, deadline);
        assert!(ended.is_some(), "still running after {deadline:?}:\n{}", self.stderr());
        Finished {
            arguments: vec!["(daemon)".into()],
            code: ended.and_then(|status| status.code()),
            stdout: self.stdout.take_whole(),
            stderr: self.stderr.take_whole(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("-- the daemon's log --\n{}", self.stderr());
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// A pipe read to its end in the background.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn nothing() -> Collected {
        Collected { text: Arc::default(), reader: None }
    }

    fn from(mut pipe: impl Read + Send + 'static) -> Collected {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut some) {
                sink.lock().unwrap().extend(&some[..count]);
            }
        });
        Collected { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn whole(mut self) -> String {
        self.take_whole()
    }

    fn take_whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.so_far()
    }
}
