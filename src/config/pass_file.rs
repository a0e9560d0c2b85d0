//! PostgreSQL's own file of passwords: `PGPASSFILE`, else `~/.pgpass`. Each of its lines is
//! `host:port:database:user:password`, where `*` stands for any value.

use super::postgres_server::ServerHost;
use super::{Env, variable};
use secrecy::SecretString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Far longer than any; the path may be wrong, and the file huge.
const MAX_BYTES: u64 = 1 << 20;

/// How it names a server on this machine.
const LOCAL: &str = "localhost";

/// Where it is; there may be none.
#[derive(Clone)]
pub(super) struct PassFile(PathBuf);

impl PassFile {
    /// `None`: nothing says where it would be.
    pub fn of(env: Env<'_>) -> Option<PassFile> {
        let given = variable(env, "PGPASSFILE").map(PathBuf::from);
        let usual = || Some(PathBuf::from(variable(env, "HOME")?).join(".pgpass"));
        given.or_else(usual).map(PassFile)
    }

    /// The password of the first line that fits; `None` if none does, or if there is no such file.
    ///
    /// # Errors
    /// A sentence if the file cannot be read, or if others can read it.
    pub fn password(
        &self,
        host: &ServerHost,
        database: &str,
        user: &str,
    ) -> Result<Option<SecretString>, String> {
        let path = self.0.display();
        let unreadable = |e: std::io::Error| format!("cannot read the password file {path}: {e}");
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            return Err(format!("others can read the password file {path}; run: chmod 600 {path}"));
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Ok(text.lines().find_map(|line| password_of_line(line, host, database, user)))
    }
}

fn password_of_line(
    line: &str,
    host: &ServerHost,
    database: &str,
    user: &str,
) -> Option<SecretString> {
    if line.starts_with('#') {
        return None;
    }
    let (hosts, port) = match host {
        ServerHost::Tcp { host, port } => ([host.as_str(), host], port),
        ServerHost::Socket { folder, port } => ([folder.to_str()?, LOCAL], port),
    };
    let port = port.to_string();
    let mut rest = line;
    for wanted in [&hosts[..], &[&port], &[database], &[user]] {
        let (field, after) = split_field(rest)?;
        if field != "*" && !wanted.contains(&unescaped(field).as_str()) {
            return None;
        }
        rest = after;
    }
    Some(SecretString::from(unescaped(rest)))
}

/// The field before the first colon that has no backslash before it, and what follows.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescaped(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '\\' { characters.next().unwrap_or(c) } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::ffi::OsString;
    use std::fs;

    const LINES: &str = "# db:5432:shop:app:comment\n\nshort:1\n\
        db:5432:shop:app:a:b\\\\c\n*:*:*:ops:o\\:p\nlocalhost:*:shop:app:local\n\
        /run/pg:5432:*:app:socket\n\\:\\:1:5432:shop:*:six\n";

    fn look_up(file: &PassFile, host: ServerHost, user: &str) -> Option<String> {
        let found = file.password(&host, "shop", user).unwrap();
        found.map(|password| password.expose_secret().to_owned())
    }

    fn tcp(host: &str) -> ServerHost {
        ServerHost::Tcp { host: host.to_owned(), port: 5432 }
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        fs::write(&path, LINES).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = PassFile(path.clone());
        assert_eq!(look_up(&file, tcp("db"), "app").unwrap(), "a:b\\c");
        assert_eq!(look_up(&file, tcp("db"), "ops").unwrap(), "o:p");
        assert_eq!(look_up(&file, tcp("::1"), "app").unwrap(), "six");
        let socket = || ServerHost::Socket { folder: "/run/pg".into(), port: 5432 };
        assert_eq!(look_up(&file, socket(), "app").unwrap(), "local");
        assert_eq!(look_up(&file, tcp("other"), "app"), None);
        assert_eq!(look_up(&PassFile(folder.path().join("none")), tcp("db"), "app"), None);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = file.password(&tcp("db"), "shop", "app").map(drop).unwrap_err();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn the_environment_says_where_it_is() {
        let of = |values: &'static [(&str, &str)]| {
            let env = |name: &str| {
                let found = values.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            PassFile::of(&env).map(|file| file.0)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HOME", "/root")]), Some("/root/.pgpass".into()));
        assert_eq!(of(&[("HOME", "/root"), ("PGPASSFILE", "/x")]), Some("/x".into()));
    }
}
