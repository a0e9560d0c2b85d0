//! Every setting and every environment variable, for the reference: `acquire-outbox settings`,
//! acquire-outbox.toml(5) and docs/settings.md are made from it. tests/settings.rs checks it against the parser.

use serde::Serialize;

/// A key of the configuration file. Empty text means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// As in the file, without brackets; empty at the top level. `NAME` and `CHANNEL` stand for any.
    pub section: &'static str,
    pub key: &'static str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub range: &'static str,
    /// As it is written in the file.
    pub default: &'static str,
    /// `reload` (SIGHUP) or `restart`.
    pub takes_effect: &'static str,
    /// The environment variable that overrides it.
    pub variable: &'static str,
    pub flag: &'static str,
    pub about: &'static str,
}

/// All settings, section by section.
pub fn settings() -> Vec<Setting> {
    let lines = include_str!("settings.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(setting).collect()
}

fn setting(line: &'static str) -> Setting {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [section, key, kind, range, default, takes_effect, variable, flag, about] = columns[..]
    else {
        unreachable!("every line of settings.txt has nine columns, as a test shows: {line}")
    };
    Setting { section, key, kind, range, default, takes_effect, variable, flag, about }
}

/// The environment variables, and what each is for.
pub const VARIABLES: &[(&str, &str)] = &[
    ("ACQUIRE_OUTBOX_CONFIG", "the configuration file, like --config"),
    ("ACQUIRE_OUTBOX_DATABASE", "the database, like --database"),
    ("ACQUIRE_OUTBOX_SCHEMA", "the schema of a PostgreSQL database, like --schema"),
    ("ACQUIRE_OUTBOX_DATABASE_PASSWORD_FILE", "a file with the database's password"),
    ("PGPASSWORD", "the database's password itself"),
    ("PGPASSFILE", "PostgreSQL's password file, instead of ~/.pgpass"),
    ("ACQUIRE_ACCOUNT_ID", "the account `default`: its name before .acquire.io"),
    ("ACQUIRE_BASE_URL", "the account `default`: its whole address, instead of the name"),
    ("ACQUIRE_API_KEY_FILE", "the account `default`: a file with its API key"),
    ("ACQUIRE_API_KEY", "the account `default`: its API key itself"),
    ("ACQUIRE_OUTBOX_LISTEN", "where the dashboard listens, like run --listen"),
    ("ACQUIRE_OUTBOX_WEB_TOKEN_FILE", "a file with the dashboard's token"),
    ("ACQUIRE_OUTBOX_WEB_TOKEN", "the dashboard's token itself"),
    ("ACQUIRE_OUTBOX_NOTIFY_URL", "where JSON is posted when the verdict changes"),
    ("ACQUIRE_OUTBOX_NOTIFY_SECRET_FILE", "a file with the secret that signs what is posted"),
    ("ACQUIRE_OUTBOX_NOTIFY_SECRET", "the secret itself"),
    (
        "ACQUIRE_OUTBOX_LOG",
        "the log's level: error, warn, info (the default), debug, trace or off; or directives",
    ),
    ("ACQUIRE_OUTBOX_LOG_FORMAT", "the log's format: pretty, journald, json or auto (the default)"),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "the proxy for https, and the hosts to reach without it; lower-case names also work",
    ),
    ("CREDENTIALS_DIRECTORY", "where systemd puts a service's credentials; set by systemd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_setting() {
        let all = settings();
        assert!(all.len() >= 37);
        for setting in &all {
            assert!(!setting.key.is_empty() && !setting.about.is_empty(), "{setting:?}");
            assert!(["reload", "restart"].contains(&setting.takes_effect), "{setting:?}");
            let is_known = |name| VARIABLES.iter().any(|(known, _)| *known == name);
            assert!(setting.variable.is_empty() || is_known(setting.variable), "{setting:?}");
        }
    }
}
