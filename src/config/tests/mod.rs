use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

mod errors;
mod layers;
mod servers;

const SECRET: &str = "sk-live-4f3c2b1a";
const ACCOUNT: &str = "[accounts.default]\naccount_id = \"acme\"\napi_key_env = \"KEY\"\n";

/// A directory with a configuration file, and an environment; isolated from the machine's.
struct Setup {
    folder: TempDir,
    env: Vec<(&'static str, OsString)>,
    database: Option<PathBuf>,
}

impl Setup {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acquire-outbox.toml"), text).unwrap();
        Setup { folder, env: vec![("KEY", SECRET.into())], database: None }
    }

    fn without_file() -> Self {
        Setup { folder: tempfile::tempdir().unwrap(), env: vec![], database: None }
    }

    fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    fn key_file(self, name: &str, content: &str, mode: u32) -> Self {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn look_up(&self, name: &str) -> Option<OsString> {
        self.env.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    fn draft(&self) -> Result<Draft, ConfigError> {
        let flags = Flags { config: None, database: self.database.clone(), ..Flags::default() };
        let files = [self.path("acquire-outbox.toml"), self.path("config.toml")];
        Draft::load(&files, &flags, &|name| self.look_up(name))
    }

    fn load(&self) -> Result<Config, ConfigError> {
        self.draft()?.open(&|name| self.look_up(name))
    }

    fn config(&self) -> Config {
        self.load().unwrap()
    }

    /// The error, without the directory. No error ever shows the key.
    fn error(&self) -> String {
        let error = self.load().map(drop).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        let folder = format!("{}/", self.folder.path().display());
        error.to_string().replacen(&folder, "", 1)
    }
}

fn config(text: &str) -> Config {
    Setup::new(&format!("{text}\n{ACCOUNT}")).config()
}

fn error(text: &str) -> String {
    Setup::new(text).error()
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no `{part}` in: {sentence}");
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn minutes(minutes: u64) -> Duration {
    secs(60 * minutes)
}

#[test]
fn every_default_is_the_documented_one() {
    let config = Setup::without_file()
        .env("ACQUIRE_ACCOUNT_ID", "acme")
        .env("ACQUIRE_API_KEY", SECRET)
        .config();
    assert_eq!(config.database, "outbox.db".into());
    assert_eq!(config.shutdown_timeout, secs(30));
    assert_eq!(config.max_in_flight_bytes, 64 * 1024 * 1024);
    let month = Some(minutes(30 * 24 * 60));
    assert_eq!(config.retention, Retention { sent: month, failed: None, cancelled: None });

    let account = &config.accounts["default"];
    assert_eq!(account.base_url.as_str(), "https://acme.acquire.io/api/v1");
    assert_eq!(account.user_type_parameter, "x-user-type");
    assert_eq!(account.api_key.expose_secret(), SECRET);

    assert_eq!(config.channels.keys().copied().collect::<Vec<_>>(), Channel::ALL);
    for policy in config.channels.values() {
        assert_eq!(policy.max_in_flight, 32);
        assert_eq!(policy.rate, None);
        assert_eq!(policy.request_timeout, secs(30));
        assert_eq!(policy.connect_timeout, secs(10));
        assert_eq!(policy.on_uncertain, OnUncertain::Retry);
        assert_eq!(policy.uncertain_retries, 3);
        assert!(!policy.fill_missing);
        assert_eq!(policy.retry.initial, secs(1));
        assert_eq!(policy.retry.multiplier, 2.0);
        assert_eq!(policy.retry.max, minutes(15));
        assert_eq!(policy.retry.jitter, 0.2);
        assert_eq!(policy.retry.max_attempts, 20);
        assert_eq!(policy.retry.give_up_after, minutes(24 * 60));
    }
}

#[test]
fn every_key_is_read() {
    let config = config(
        r#"
        database = "data/queue.db"
        shutdown_timeout = "5s"
        max_in_flight_bytes = "1.5 GiB"
        [accounts.other]
        base_url = "http://127.0.0.1:8787/api/v1/"
        api_key_env = "KEY"
        user_type_parameter = "-x-user-type"
        [channels.sms]
        max_in_flight = 4
        rate = "600/min"
        request_timeout = "1m 30s"
        connect_timeout = "250ms"
        on_uncertain = "hold"
        uncertain_retries = 0
        fill_missing = true
        scrub = "7d"
        [channels.mail]
        follow_up = "1h"
        scrub = "0s"
        [channels.chat]
        follow_up = "never"
        scrub = "never"
        [retention]
        sent = "forever"
        failed = "90d"
        cancelled = "1h"
        "#,
    );
    let database = config.database.to_string();
    assert!(database.ends_with("data/queue.db") && database.starts_with('/'), "{database}");
    assert_eq!(config.shutdown_timeout, secs(5));
    assert_eq!(config.max_in_flight_bytes, 3 * 512 * 1024 * 1024);
    let other = &config.accounts["other"];
    assert_eq!(other.name, "other");
    assert_eq!(other.base_url.as_str(), "http://127.0.0.1:8787/api/v1");
    assert_eq!(other.user_type_parameter, "-x-user-type");
    let expected = ChannelPolicy {
        max_in_flight: 4,
        rate: Some(Rate { count: 600, per: minutes(1) }),
        request_timeout: secs(90),
        connect_timeout: Duration::from_millis(250),
        on_uncertain: OnUncertain::Hold,
        uncertain_retries: 0,
        fill_missing: true,
        scrub: Some(minutes(7 * 24 * 60)),
        ..ChannelPolicy::default()
    };
    assert_eq!(config.channels[&Channel::Sms], expected);
    assert_eq!(config.channels[&Channel::Mail].scrub, Some(secs(0)));
    assert_eq!(config.channels[&Channel::Mail].follow_up, Some(minutes(60)));
    assert_eq!(config.channels[&Channel::Chat], ChannelPolicy::default());
    let (failed, cancelled) = (Some(minutes(90 * 24 * 60)), Some(minutes(60)));
    assert_eq!(config.retention, Retention { sent: None, failed, cancelled });
}

#[test]
fn the_documented_example_is_a_valid_file() {
    let setup = Setup::new(
        r#"
database = "outbox.db"

[accounts.default]
account_id = "acme"                      # https://acme.acquire.io/api/v1
api_key_file = "key"                     # or api_key_env, or a systemd credential
# base_url = "http://127.0.0.1:8787/api/v1"   # plain http only to loopback
# user_type_parameter = "x-user-type"

[channels.sms]                           # chat, mail, sms; the defaults are the same for each
max_in_flight = 32
rate = "10/s"                            # default: none
request_timeout = "30s"
connect_timeout = "10s"
on_uncertain = "hold"                    # default: retry
uncertain_retries = 3

[retry]                                  # or [channels.sms.retry], for one channel
initial = "1s"
multiplier = 2.0
max = "15m"
jitter = 0.2
max_attempts = 20
give_up_after = "24h"

[retention]
sent = "30d"                             # failed, cancelled: kept until set
"#,
    );
    let config = setup.key_file("key", SECRET, 0o600).config();
    let rate = Some(Rate { count: 10, per: secs(1) });
    let sms = ChannelPolicy { rate, on_uncertain: OnUncertain::Hold, ..ChannelPolicy::default() };
    assert_eq!(config.channels[&Channel::Sms], sms);
    assert_eq!(config.channels[&Channel::Mail], ChannelPolicy::default());
    assert_eq!(config.retention, Retention::default());
}

#[test]
fn a_channel_overrides_retry_key_by_key() {
    let config = config(
        "[retry]\ninitial = \"2s\"\nmultiplier = 3\njitter = 0\n\
         [channels.sms.retry]\ninitial = \"5s\"\nmax = \"6s\"\nmax_attempts = 1",
    );
    let retry = |channel| config.channels[&channel].retry.clone();
    let sms = retry(Channel::Sms);
    assert_eq!((sms.initial, sms.max, sms.max_attempts), (secs(5), secs(6), 1));
    assert_eq!((sms.multiplier, sms.jitter, sms.give_up_after), (3.0, 0.0, minutes(1440)));
    assert_eq!((retry(Channel::Mail).initial, retry(Channel::Chat).max), (secs(2), minutes(15)));
}

#[test]
fn rates_are_per_second_minute_or_hour() {
    for (text, count, per) in
        [("10/s", 10, 1), ("600/m", 600, 60), ("600/min", 600, 60), (" 1000 / h ", 1000, 3600)]
    {
        assert_eq!(text.parse::<Rate>().unwrap(), Rate { count, per: secs(per) });
    }
    assert_eq!("600/min".parse::<Rate>().unwrap().to_string(), "600/m");
    for bad in ["", "10", "0/s", "-1/s", "1.5/s", "10/d", "/s", "1000001/s", "99999999999/s"] {
        assert!(bad.parse::<Rate>().unwrap_err().contains("10/s"), "{bad}");
    }
}

#[test]
fn a_key_is_read_from_a_file_next_to_the_configuration_or_from_a_credential() {
    let account = "[accounts.default]\naccount_id = \"acme\"\n";
    let file = Setup::new(&format!("{account}api_key_file = \"key\""));
    let config = file.key_file("key", &format!("{SECRET} \r\n\n"), 0o640).config();
    assert_eq!(config.accounts["default"].api_key.expose_secret(), SECRET);

    let credential = Setup::new(&format!("{account}api_key_credential = \"acquire\""));
    assert_says(
        &credential.error(),
        &["toml, line 3: ", "CREDENTIALS_DIRECTORY", "LoadCredential="],
    );
    let folder = credential.folder.path().as_os_str().to_owned();
    let credential = credential.key_file("acquire", SECRET, 0o444);
    let config = credential.env("CREDENTIALS_DIRECTORY", folder).config();
    assert_eq!(config.accounts["default"].api_key.expose_secret(), SECRET);
    let outside = error(&format!("{account}api_key_credential = \"../key\""));
    assert_says(&outside, &["api_key_credential`", "not a path"]);
}
