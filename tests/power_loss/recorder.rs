//! Records what the daemon and its producers do to the database's files, in one order with their
//! requests and their words to the outside: by strace, whose lines are causally ordered.

use crate::support::{Outbox, Server, eventually};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CALLS: &str = "trace=openat,pwrite64,pwritev,write,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,\
    fallocate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,sync_file_range,copy_file_range";

/// `send` prints the job's id once its transaction is on disk; two of them work side by side.
const SCRIPT: &str = r#"
"$0" run & daemon=$!
insert() { for n in $(seq $1 2 $3); do "$0" send chat --case-id $((n % 7 + 1)) --message "job-$n-$2"; done; }
insert 1 "$2" $1 & odd=$!
insert 2 "$2" $1 & even=$!
wait $odd $even
read -r _
kill -TERM $daemon
wait $daemon
"#;

/// One thing that happened, with the lines of the trace on which it began and ended.
pub struct Step {
    pub begin: usize,
    pub end: usize,
    pub what: What,
}

/// Files by their name within the folder; the folder itself is ".".
pub enum What {
    Created {
        file: String,
    },
    Unlinked {
        file: String,
    },
    Written {
        file: String,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncated {
        file: String,
        length: usize,
    },
    Synced {
        file: String,
    },
    /// A request began to leave: these are its words.
    Sent {
        words: String,
    },
    /// A producer knows that the job with this id is on disk.
    Committed {
        id: i64,
    },
}

/// Everything of a session, killed with its children when dropped.
struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).expect("a pid");
        // SAFETY: kill takes no pointers; the group is our own child's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

/// The daemon and two producers on an outbox, until the server has accepted all `jobs`.
pub fn record(outbox: &Outbox, server: &Server, jobs: usize, requests: usize) -> Vec<Step> {
    let trace = outbox.folder().join("trace");
    // Long enough for a checkpoint in the middle, which comes every 1000 pages.
    let padding = "x".repeat(20_000);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-xx", "-s", "1000000", "--seccomp-bpf", "-e", CALLS, "-o"]);
    command.arg(&trace).args(["sh", "-c", SCRIPT, env!("CARGO_BIN_EXE_acquire-outbox")]);
    command.args([&jobs.to_string(), &padding]).current_dir(outbox.folder());
    command.env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut session = Session(command.spawn().expect("strace starts"));
    eventually(Duration::from_secs(120), "all jobs are sent", || {
        assert!(session.0.try_wait().unwrap().is_none(), "the recording ended early");
        server.count() >= requests && outbox.count("sent") == jobs as i64
    });
    session.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    eventually(Duration::from_secs(60), "the end of the recording", || {
        session.0.try_wait().unwrap().is_some()
    });
    let lines = std::fs::read_to_string(&trace).expect("a trace");
    Reader { folder: outbox.folder(), open: Vec::new(), steps: Vec::new() }.read(&lines)
}

/// Turns strace's lines into steps.
struct Reader<'a> {
    folder: &'a Path,
    /// Calls that have begun and not ended: thread, line, text.
    open: Vec<(String, usize, String)>,
    steps: Vec<Step>,
}

impl Reader<'_> {
    fn read(mut self, lines: &str) -> Vec<Step> {
        for (number, line) in lines.lines().enumerate() {
            let (thread, rest) = line.split_once(' ').expect("a thread");
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                self.open.push((thread.to_owned(), number, begun.trim_end().to_owned()));
            } else if rest.starts_with("<... ") {
                let at = self.open.iter().position(|(t, ..)| t == thread).expect("it has begun");
                let (_, begin, begun) = self.open.swap_remove(at);
                let (_, ending) = rest.split_once(" resumed>").expect("resumed");
                self.step(begin, number, &(begun + ending));
            } else if rest.contains('(') && !rest.starts_with("---") {
                self.step(number, number, rest);
            }
        }
        // What never ended (its process did) may have happened or not.
        for (_, begin, begun) in std::mem::take(&mut self.open) {
            self.step(begin, usize::MAX, &format!("{begun}) = 0"));
        }
        self.steps.sort_by_key(|step| step.begin);
        self.steps
    }

    fn step(&mut self, begin: usize, end: usize, call: &str) {
        let (name, rest) = call.split_once('(').expect("a call");
        let (arguments, result) = rest.rsplit_once(" = ").expect("a result");
        if result.starts_with('-') {
            return;
        }
        let file = descriptor(arguments).and_then(|path| self.known(&path));
        let what = match (name, file) {
            ("pwrite64", Some(file)) => {
                let offset = last_number(arguments);
                What::Written { file, offset, bytes: strings(arguments).remove(0) }
            }
            ("ftruncate", Some(file)) => What::Truncated { file, length: last_number(arguments) },
            ("fsync" | "fdatasync", Some(file)) => What::Synced { file },
            ("openat", _) if arguments.contains("O_CREAT") => {
                let path = strings(arguments).remove(0);
                let Some(file) = self.known(&path) else { return };
                What::Created { file }
            }
            ("unlink" | "unlinkat", _) => {
                let Some(file) = self.known(&strings(arguments).remove(0)) else { return };
                What::Unlinked { file }
            }
            ("write" | "writev" | "sendto" | "sendmsg", None) => {
                match outward(&strings(arguments).concat()) {
                    Some(what) => what,
                    None => return,
                }
            }
            (_, None) if !strings(arguments).iter().any(|path| self.known(path).is_some()) => {
                return;
            }
            ("openat", _) => return,
            // It would be missing in the rebuilt files.
            _ => panic!("a call on the database that this recorder does not know: {call}"),
        };
        self.steps.push(Step { begin, end, what });
    }

    /// The name of a file of the database, or "." for its folder.
    fn known(&self, path: &[u8]) -> Option<String> {
        let path = Path::new(std::str::from_utf8(path).ok()?);
        if path == self.folder {
            return Some(".".to_owned());
        }
        // The -shm file is memory; nobody reads it after a power loss.
        let name = path.strip_prefix(self.folder).unwrap_or(path).to_str()?;
        ["outbox.db", "outbox.db-wal", "outbox.db-journal"].contains(&name).then(|| name.to_owned())
    }
}

/// What left the process: a request, or the id of a committed job on its own line.
fn outward(bytes: &[u8]) -> Option<What> {
    let text = String::from_utf8_lossy(bytes);
    if text.starts_with("POST ") {
        let at = text.find("job-").expect("head and body leave in one call");
        let words = text[at..].splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
        return Some(What::Sent { words });
    }
    text.strip_suffix('\n')?.parse().ok().map(|id| What::Committed { id })
}

/// The path of the descriptor that is the call's first argument: `9<\x2f...>`.
fn descriptor(arguments: &str) -> Option<Vec<u8>> {
    let (number, rest) = arguments.split_once('<')?;
    number.parse::<u32>().ok()?;
    Some(bytes(rest.split_once('>')?.0))
}

fn strings(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(bytes).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).map(|two| u8::from_str_radix(two, 16).expect("-xx")).collect()
}

fn last_number(arguments: &str) -> usize {
    let last = arguments.trim_end_matches([')', ' ']).rsplit(", ").next().expect("arguments");
    last.parse().unwrap_or_else(|_| panic!("a number: {last}"))
}
