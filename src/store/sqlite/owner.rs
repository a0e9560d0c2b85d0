//! Who owns the files next to a database, and what to say if that is wrong.

use super::real_path::RealPath;
use super::user_names;
use crate::links::is_root;
use rustix::fs::{Access, fstat};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid, accessat, chownat, openat};
use rustix::io::Errno;
use std::fs::{self, Metadata, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt as _};
use std::path::Path;

/// What SQLite keeps next to a database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Gives the database's log and shared memory to the database's owner, as far as this user may.
///
/// SQLite only does this for files that it creates as root. This also covers members of the group and
/// files that existed before.
pub fn align_companions(database: &RealPath) {
    let Ok(like) = fs::metadata(database.as_path()) else { return };
    for ending in COMPANIONS {
        let _ = align(&database.with_ending(ending), &like);
    }
}

/// Gives `file` the mode of `like` and, if this user may, its owner and group.
///
/// It uses an `O_PATH` descriptor: closing any other would drop SQLite's locks, and a path could be
/// replaced by a link in between. A file with two names may have been planted by somebody else.
pub fn align(file: &Path, like: &Metadata) -> rustix::io::Result<()> {
    let at = openat(CWD, file, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&at)?;
    let ours = found.st_uid == rustix::process::geteuid().as_raw();
    let is_plain = found.st_mode & 0o170_000 == 0o100_000 && found.st_nlink == 1;
    if !is_plain || !(ours || is_root()) {
        return Ok(());
    }
    // The group first: a mode that lets the group write must not apply to another group.
    let (uid, gid) = (Uid::from_raw(like.uid()), Gid::from_raw(like.gid()));
    if (found.st_uid, found.st_gid) != (like.uid(), like.gid()) {
        let uid = is_root().then_some(uid);
        chownat(&at, "", uid, Some(gid), AtFlags::EMPTY_PATH)?;
    }
    let mode = like.mode() & 0o666;
    if found.st_mode & 0o777 != mode {
        let path = format!("/proc/self/fd/{}", at.as_raw_fd());
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|_| Errno::PERM)?;
    }
    Ok(())
}

/// Gives a database that root has just created to the folder's owner, who will use it.
pub fn give_to_folder(made: &fs::File, folder: &Path) {
    let owner = fs::metadata(folder).ok().filter(|folder| is_root() && folder.uid() != 0);
    if let Some(owner) = owner {
        let _ = std::os::unix::fs::fchown(made, Some(owner.uid()), Some(owner.gid()));
    }
}

/// A sentence about the first of a database's files that this user may not use, and what to do about it.
pub fn obstacle(database: &RealPath) -> Option<String> {
    let (file, folder) = (database.as_path(), database.folder());
    if let Some(sentence) = hidden(database) {
        return Some(sentence);
    }
    if may(folder, Access::WRITE_OK) == Err(Errno::ROFS) {
        return Some(format!("{} is on a file system that is mounted read-only", file.display()));
    }
    if let Some(sentence) = read_only(database) {
        return Some(sentence);
    }
    let both = Access::READ_OK | Access::WRITE_OK;
    if let Some(sentence) = refused(file, both, "read and write") {
        let advice =
            advice(file, 0o6, "give this user write access to the file, or run as its owner");
        return Some(format!("{sentence}; {advice}"));
    }
    for ending in COMPANIONS {
        let companion = database.with_ending(ending);
        if let Some(sentence) = refused(&companion, both, "read and write") {
            let (like, file) = (file.display(), companion.display());
            return Some(format!(
                "{sentence}, but SQLite needs it for {like}; as root: \
                 `chown --reference={like} {file}; chmod --reference={like} {file}` (never delete it)"
            ));
        }
    }
    let sentence = refused(folder, Access::WRITE_OK, "write to")?;
    let give = "give this user write access to the folder: SQLite keeps -wal and -shm there";
    Some(format!("{sentence}; {}", advice(folder, 0o2, give)))
}

/// A sentence if this user may not look into a folder on the way to the database, so that it seems to
/// be missing.
pub fn hidden(database: &RealPath) -> Option<String> {
    let folders: Vec<_> = database.folder().ancestors().collect();
    let closed = folders.into_iter().rev();
    closed
        .filter_map(|folder| {
            let sentence = refused(folder, Access::EXEC_OK, "look into")?;
            Some(format!(
                "{sentence}; {}",
                advice(folder, 0o1, "give this user access to the folder")
            ))
        })
        .next()
}

/// For a user who may only read the file. Where nobody has it open there is no `-shm`, which SQLite would have
/// to create, so not even that works.
fn read_only(database: &RealPath) -> Option<String> {
    let file = database.as_path();
    let reads = may(file, Access::READ_OK).is_ok();
    let sentence = refused(file, Access::WRITE_OK, "write to").filter(|_| reads)?;
    let give = "give this user write access to the file and its folder";
    Some(format!(
        "{sentence}; {}. Without write access the outbox can only be read, and only while a dispatcher runs",
        advice(file, 0o6, give)
    ))
}

/// To join the group, if it has this access, and otherwise to give the access.
fn advice(path: &Path, bits: u32, give: &str) -> String {
    let joining = fs::metadata(path).ok().and_then(|found| user_names::by_joining(&found, bits));
    joining.unwrap_or_else(|| give.to_owned())
}

/// Why this user may not do `what` to the file; `None` if it may, or if the file does not exist.
pub fn refused(path: &Path, what: Access, verb: &str) -> Option<String> {
    if !matches!(may(path, what), Err(Errno::ACCESS | Errno::PERM)) {
        return None;
    }
    let me = user_names::user(rustix::process::geteuid().as_raw());
    Some(match fs::metadata(path) {
        Ok(found) => {
            format!("{} {}, and {me} may not {verb} it", path.display(), whose(&found))
        }
        Err(_) => format!("{me} may not {verb} {}", path.display()),
    })
}

fn may(path: &Path, what: Access) -> rustix::io::Result<()> {
    accessat(CWD, path, what, AtFlags::EACCESS)
}

fn whose(found: &Metadata) -> String {
    let (owner, group) = (user_names::user(found.uid()), user_names::group(found.gid()));
    format!("belongs to {owner} and {group} (mode {:04o})", found.mode() & 0o7777)
}
