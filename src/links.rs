//! Paths without symbolic links, followed so that nobody can make root write elsewhere.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows in one path.
const MOST_LINKS: u32 = 40;

/// Why a path is not followed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(
        "{link} is a symbolic link that other users can replace, so root does not follow it; name \
         the file itself, or put the link into a folder that only root may write to"
    )]
    Planted { link: PathBuf },
    #[error("{0} has too many symbolic links in it; name the file itself")]
    Loop(PathBuf),
    #[error("cannot resolve {path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Follows every symbolic link of `path`, even a last one that leads nowhere yet.
///
/// # Errors
/// [`LinkError::Planted`] where root would follow a link that other users can replace.
pub fn followed(path: &Path) -> Result<PathBuf, LinkError> {
    let unreadable = |source| LinkError::Unreadable { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let mut left = parts_last_first(&absolute);
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = left.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(part);
        // A part that cannot be examined is left as it is: whoever opens the file says what is wrong.
        let link = fs::symlink_metadata(&next).ok().filter(Metadata::is_symlink);
        let Some(link) = link else {
            real = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(LinkError::Loop(path.to_owned()));
        }
        if is_root() && others_may_replace(&link, &real) {
            return Err(LinkError::Planted { link: next });
        }
        let target = fs::read_link(&next).map_err(unreadable)?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        left.extend(parts_last_first(&target));
    }
    Ok(real)
}

/// Whether this process may do everything, as root may.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn parts_last_first(path: &Path) -> Vec<OsString> {
    let named = |part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(named).rev().collect()
}

/// A link in a folder that a group or everybody may write to, or another user's link in that user's
/// own folder. A sticky bit changes nothing: whoever made the link may still change it.
fn others_may_replace(link: &Metadata, folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|folder| {
        let shared = folder.mode() & 0o022 != 0;
        shared || (folder.uid() != 0 && link.uid() != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_leads_to_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("outbox.db");
        symlink("outbox.db", &link).unwrap();
        assert!(matches!(followed(&link), Err(LinkError::Loop(_))));
    }
}
