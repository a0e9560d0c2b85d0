//! The disk below a database: the type of its file system, and the space that is left.

use super::real_path::RealPath;
use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use std::io::Write as _;
use std::path::Path;

/// With less space, the log soon cannot grow.
const LEAST_SPACE: u64 = 16 * 1024 * 1024;
/// How much is written to find out whether writing works: more than a page of SQLite's.
static TRIAL: [u8; 64 * 1024] = [0; 64 * 1024];

/// File systems that several machines share, by Linux's number for each.
const SHARED: [(i64, &str); 12] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
    (0x786f_4256, "a VirtualBox shared folder"),
];
const OVERLAY: i64 = 0x794c_7630;

/// A sentence if the file system has little space, has no room for another file, or is read-only.
/// It only asks the kernel and opens nothing.
pub fn shortage(path: &Path) -> Option<String> {
    let disk = statvfs(path).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some("the database's file system is mounted read-only".to_owned());
    }
    // Some file systems do not count files.
    if disk.f_files > 0 && disk.f_favail == 0 {
        return Some(
            "the database's file system has no room for another file (no inodes are left)"
                .to_owned(),
        );
    }
    (free < LEAST_SPACE).then(|| format!("the database's file system has {} KiB left", free / 1024))
}

/// As [`shortage`], and also what only writing shows, such as a quota; nothing is left behind.
pub fn trial(database: &RealPath) -> Result<(), String> {
    if let Some(shortage) = shortage(database.folder()) {
        return Err(shortage);
    }
    let written = tempfile::tempfile_in(database.folder()).and_then(|mut file| {
        file.write_all(&TRIAL)?;
        // A file system that allocates late fails only now.
        file.sync_data()
    });
    written.map_err(|e| format!("nothing can be written to {}: {e}", database.folder().display()))
}

/// A warning about the file system that a database is on, if there is one.
pub fn caution(database: &RealPath) -> Option<String> {
    let found = statfs(database.folder()).ok()?;
    let kind = found.f_type & 0xffff_ffff;
    if kind == OVERLAY {
        return Some(
            "it is on an overlay, usually a container's own layer: it disappears with the container, \
             and no other container sees it; put the database's folder on a volume"
                .to_owned(),
        );
    }
    let (_, name) = SHARED.iter().find(|(number, _)| *number == kind)?;
    Some(format!(
        "it is on {name}: SQLite's log needs reliable locks and memory that all its users share, which \
         works only on one machine; put the database on a local disk"
    ))
}
