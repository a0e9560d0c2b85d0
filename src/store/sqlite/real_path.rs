//! Where a database really is, and whether SQLite can use it there without damage.
//!
//! SQLite finds `-wal` and `-shm` by the database's path, and the dispatcher's lock is next to
//! them. A file with two paths would have two logs, which damage it, and two locks, which protect
//! nothing.

use crate::links::{self, LinkError};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A database's path without symbolic links, even if the file does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealPath(PathBuf);

/// Why a database must not be used under this path.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "{file} is mounted by itself, without its folder: programs on the two sides of the mount would \
         keep two logs and damage the database; mount its folder instead ({}, or the folder that has \
         the file on the host)", .folder.display()
    )]
    Mounted { file: PathBuf, folder: PathBuf },
    #[error(
        "{file} has {links} names (hard links), and SQLite would keep a log for each, which damages \
         the database; remove the other names (`find -samefile` lists them), or work on a copy"
    )]
    HardLinks { file: PathBuf, links: u64 },
}

impl RealPath {
    /// Follows every symbolic link of `path`, even a last one that leads nowhere yet.
    ///
    /// # Errors
    /// [`PathError::Link`]
    pub fn of(path: &Path) -> Result<RealPath, PathError> {
        Ok(RealPath(links::followed(path)?))
    }

    /// The path itself.
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The file next to it whose name has this ending: `-wal`, `-shm`.
    pub fn with_ending(&self, ending: &str) -> PathBuf {
        let mut path = self.0.as_os_str().to_owned();
        path.push(ending);
        path.into()
    }

    /// A file next to it whose name begins with a dot, so that it stays when somebody moves or deletes
    /// `outbox.db*`.
    pub fn hidden(&self, ending: &str) -> PathBuf {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        self.folder().join(format!(".{name}.{ending}"))
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        self.0.parent().unwrap_or(Path::new("/"))
    }

    /// # Errors
    /// [`PathError::Mounted`] and [`PathError::HardLinks`]: the file has another path, too.
    pub fn require_only_one(&self) -> Result<(), PathError> {
        for ending in ["", "-wal", "-shm"] {
            let file = self.with_ending(ending);
            let Ok(found) = fs::symlink_metadata(&file) else { continue };
            if !found.is_file() {
                continue;
            }
            if is_mount_point(&file) {
                return Err(PathError::Mounted { file, folder: self.folder().to_owned() });
            }
            if found.nlink() > 1 {
                return Err(PathError::HardLinks { file, links: found.nlink() });
            }
        }
        Ok(())
    }
}

/// The kernel reports it since 5.8. The device number does not help: a file can be mounted within
/// one device.
fn is_mount_point(file: &Path) -> bool {
    let asked = statx(CWD, file, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    match asked {
        Ok(found) if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        _ => fs::read("/proc/self/mountinfo").is_ok_and(|table| names_mount(&table, file)),
    }
}

/// Whether the table of mounts has this path as a mount point, the fifth word of a line.
fn names_mount(table: &[u8], file: &Path) -> bool {
    table.split(|byte| *byte == b'\n').any(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4);
        point.is_some_and(|point| unescaped(point).as_bytes() == file.as_os_str().as_bytes())
    })
}

/// `\040` is a space; space, tab, line feed and backslash are written like this.
fn unescaped(word: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut left = word;
    while let Some((&first, rest)) = left.split_first() {
        let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match byte.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                left = &rest[3..];
            }
            None => {
                bytes.push(first);
                left = rest;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_leads_to_the_same_path_before_and_after_its_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir(real.join("data")).unwrap();
        symlink("data/../data/outbox.db", real.join("first")).unwrap();
        symlink(real.join("first"), real.join("second")).unwrap();
        let (link, target) = (real.join("second"), real.join("data/outbox.db"));
        let before = RealPath::of(&link).unwrap();
        assert_eq!(before.as_path(), target);
        fs::write(&target, "").unwrap();
        assert_eq!(RealPath::of(&link).unwrap(), before);
        assert_eq!(RealPath::of(&target).unwrap(), before);
        assert_eq!(before.with_ending("-wal"), real.join("data/outbox.db-wal"));
    }

    #[test]
    fn a_mount_point_is_found_in_the_table_whatever_its_name() {
        let table = b"22 1 0:1 / / rw - tmpfs x rw\n\
            63 43 254:0 /a /srv/my\\040shop\\134/o.db rw,relatime - ext4 /dev/vda rw\n";
        assert!(names_mount(table, Path::new("/srv/my shop\\/o.db")));
        assert!(!names_mount(table, Path::new("/a")));
        assert!(!names_mount(b"", Path::new("/a")));
    }
}
