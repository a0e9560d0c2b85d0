//! Names of users and groups, and how a user gets a group's access. Reads `/etc/passwd` and `/etc/group`:
//! a static binary has no other directory.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// `root`, `user shop` or, without a name, `user 995`.
pub(super) fn user(id: u32) -> String {
    if id == 0 { "root".to_owned() } else { format!("user {}", user_name(id)) }
}

/// `group www-data` or, without a name, `group 33`.
pub(super) fn group(id: u32) -> String {
    let entry = group_entry(&text_of("/etc/group"), id);
    format!("group {}", entry.map_or_else(|| id.to_string(), |(name, _)| name))
}

/// How this user gets the access that the file's group has, if the group has it all: `bits` as in the
/// lowest three of a mode.
pub(super) fn by_joining(found: &Metadata, bits: u32) -> Option<String> {
    let group = found.gid();
    let has_it = found.mode() >> 3 & bits == bits;
    if !has_it || group == 0 {
        return None;
    }
    let me = user_name(rustix::process::geteuid().as_raw());
    Some(match group_entry(&text_of("/etc/group"), group) {
        Some((name, members)) if members.contains(&me) => format!(
            "{me} is a member of {name}, but was not yet when this session began: log in again"
        ),
        Some((name, _)) => {
            format!("join its group, as root: `usermod -aG {name} {me}`, then log in again")
        }
        None => format!("join its group, {group}, then log in again"),
    })
}

/// Whose process this is; through sudo, who called it.
pub fn this_user() -> String {
    let me = user_name(rustix::process::getuid().as_raw());
    match std::env::var("SUDO_USER") {
        Ok(caller) if !caller.is_empty() && caller != me => format!("{caller} (sudo {me})"),
        _ => me,
    }
}

fn user_name(id: u32) -> String {
    let passwd = text_of("/etc/passwd");
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}

/// A group's name and its members.
fn group_entry(groups: &str, id: u32) -> Option<(String, Vec<String>)> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let is_it = fields.nth(1)?.parse() == Ok(id);
        let members = fields.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        is_it.then_some((name, members))
    })
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_name_and_its_members() {
        let groups = "root:x:0:\nproducers:x:998:shop,crm\nbroken\n";
        let members = vec!["shop".to_owned(), "crm".to_owned()];
        assert_eq!(group_entry(groups, 998), Some(("producers".to_owned(), members)));
        assert_eq!(group_entry(groups, 7), None);
    }
}
