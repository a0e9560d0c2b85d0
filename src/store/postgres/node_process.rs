//! Which process a node is, as its own machine can tell: whether a predecessor has ended is known at
//! once there, and elsewhere only when its lease is long over.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The nodes of this process that have not ended.
static ALIVE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn alive() -> MutexGuard<'static, BTreeSet<u64>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One node of this process, until it is dropped.
pub(super) struct NodeProcess {
    number: u64,
    name: String,
}

/// `boot/namespace/pid/started/number`.
struct Parts<'a> {
    machine: (&'a str, &'a str),
    pid: i32,
    started: &'a str,
    number: u64,
}

impl NodeProcess {
    pub(super) fn new() -> NodeProcess {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        alive().insert(number);
        let name = own().map(|own| format!("{own}/{number}")).unwrap_or_default();
        NodeProcess { number, name }
    }

    /// As `outbox_nodes` has it; empty where it cannot be told.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        alive().remove(&self.number);
    }
}

/// Where this process is: nothing else has the same, not even after it has ended.
fn own() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let pid = std::process::id();
    let started = started(i32::try_from(pid).ok()?)?;
    Some(format!("{}/{}/{pid}/{started}", boot.trim(), namespace.display()))
}

/// When a process started, by the kernel's count; `None` if it has ended or cannot be seen.
fn started(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses, which may have any characters.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| started.to_owned())
}

/// Whether the node of this name has surely ended. False for one of another machine.
pub(super) fn has_ended(name: &str) -> bool {
    let Some(own) = own() else { return false };
    let (Some(own), Some(other)) = (Parts::of(&own), Parts::of(name)) else { return false };
    if own.machine != other.machine {
        return false;
    }
    if (own.pid, own.started) == (other.pid, other.started) {
        return !alive().contains(&other.number);
    }
    match started(other.pid) {
        Some(started) => started != other.started,
        // It may be hidden, as other users' processes can be; a signal's answer shows it.
        None => is_zombie(other.pid) || no_such_process(other.pid),
    }
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, Some("Z" | "X"))
}

fn no_such_process(pid: i32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

impl Parts<'_> {
    fn of(name: &str) -> Option<Parts<'_>> {
        let mut parts = name.split('/');
        let machine = (parts.next()?, parts.next()?);
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?;
        let number = parts.next().unwrap_or_default().parse().unwrap_or(u64::MAX);
        Some(Parts { machine, pid, started, number })
    }
}

/// The machine's name.
pub(super) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "node".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_node_has_ended_when_it_or_its_process_has() {
        let node = NodeProcess::new();
        let name = node.name().to_owned();
        assert!(!has_ended(&name));
        drop(node);
        assert!(has_ended(&name));
        let elsewhere = name.replacen(|c: char| c.is_ascii_hexdigit(), "g", 1);
        assert!(!has_ended(&elsewhere), "another machine's may be at work");
        assert!(!has_ended(""));
    }

    #[test]
    fn a_process_has_ended_when_it_is_dead_or_another_has_its_number() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let own = own().unwrap();
        let parts = Parts::of(&own).unwrap();
        let (boot, namespace) = parts.machine;
        let started = started(pid).unwrap();
        let name = format!("{boot}/{namespace}/{pid}/{started}/0");
        assert!(!has_ended(&name));
        assert!(has_ended(&format!("{boot}/{namespace}/{pid}/1{started}/0")));
        child.kill().unwrap();
        while !has_ended(&name) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(has_ended(&name));
    }
}
