//! A disk that is soon full, or read-only.

use super::{Database, Outbox, Program};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// A small, separate disk, gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, and a line that says so, where this process may not mount.
    pub fn mount(at: PathBuf, megabytes: u32) -> Option<SmallDisk> {
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(&at);
        if !mount.output().is_ok_and(|done| done.status.success()) {
            super::skipped("no small disk can be mounted (not root, or no mounts allowed)");
            return None;
        }
        Some(SmallDisk(at))
    }

    pub fn database(&self) -> Database {
        Database::at(self.0.join("outbox.db"))
    }

    pub fn program(&self, outbox: &Outbox) -> Program {
        let path = self.0.join("outbox.db");
        outbox.program().env("ACQUIRE_OUTBOX_DATABASE", path.to_str().unwrap())
    }

    /// Writes until nothing more goes in, and gives the file that took the room.
    pub fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
        filler
    }

    pub fn remount(&self, how: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.0);
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that a failed test leaves may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
