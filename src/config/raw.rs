//! The file as it is, each value validated by itself. What is not set is `None`; defaults are added
//! later, in `mod.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;

use super::config_error::ConfigError;
use super::database::Database;
use super::raw_account::RawAccount;
use super::raw_notify::RawNotify;
use super::raw_web::RawWeb;
use super::secret::{KeySource, Secret};
use super::section::{Document, Located, Section, parse_duration};
use super::{ChannelPolicy, OnUncertain, Rate, Retention};
use crate::queue::job::Channel;
use crate::queue::retry::RetryPolicy;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As humantime defines it.
const YEAR: Duration = Duration::from_secs(31_557_600);
/// Short enough that no sum of times overflows.
const CENTURY: Duration = Duration::from_secs(100 * YEAR.as_secs());

const ACCOUNTS: &str = "every account needs its own section, such as [accounts.default]";

#[derive(Default)]
pub(super) struct RawConfig {
    pub database: Option<Located<Database>>,
    pub schema: Option<Located<String>>,
    pub database_password: Option<KeySource>,
    pub shutdown_timeout: Option<Duration>,
    pub max_in_flight_bytes: Option<u64>,
    pub accounts: BTreeMap<String, RawAccount>,
    pub channels: BTreeMap<Channel, RawChannel>,
    pub retry: RawRetry,
    pub retention: RawRetention,
    pub web: RawWeb,
    pub notify: RawNotify,
}

impl RawConfig {
    /// Relative paths are relative to the directory of `file`.
    pub fn read(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document::new(file, text);
        let table = document.parse()?;
        let root = document.root(table.get_ref());
        root.allow(&[
            "database",
            "schema",
            "database_password_file",
            "database_password_env",
            "database_password_credential",
            "shutdown_timeout",
            "max_in_flight_bytes",
            "accounts",
            "channels",
            "retry",
            "retention",
            "web",
            "notify",
        ])?;

        let folder = file.parent().unwrap_or(Path::new(""));
        let mut raw = RawConfig {
            database: match root.text("database")? {
                Some(path) => Some(Located {
                    value: Database::read(path.value.into(), folder, &path.place)?,
                    place: path.place,
                }),
                None => None,
            },
            schema: root.text("schema")?,
            database_password: KeySource::in_section(Secret::DatabasePassword, &root, folder)?,
            shutdown_timeout: root.duration("shutdown_timeout", Duration::ZERO..=HOUR)?.map(value),
            max_in_flight_bytes: root
                .bytes("max_in_flight_bytes", ByteSize::mib(1)..=ByteSize::tib(1))?
                .map(value),
            retry: root
                .section("retry")?
                .as_ref()
                .map_or(Ok(RawRetry::default()), RawRetry::read)?,
            ..RawConfig::default()
        };
        if let Some(accounts) = root.section("accounts")? {
            for (name, section) in accounts.sections(ACCOUNTS)? {
                let account = RawAccount::read(&name, &section, folder)?;
                raw.accounts.insert(name.value.to_owned(), account);
            }
        }
        if let Some(channels) = root.section("channels")? {
            channels.allow(&Channel::ALL.map(Channel::as_str))?;
            for channel in Channel::ALL {
                if let Some(section) = channels.section(channel.as_str())? {
                    raw.channels.insert(channel, RawChannel::read(channel, &section)?);
                }
            }
        }
        if let Some(retention) = root.section("retention")? {
            raw.retention = RawRetention::read(&retention)?;
        }
        if let Some(web) = root.section("web")? {
            raw.web = RawWeb::read(&web, folder)?;
        }
        if let Some(notify) = root.section("notify")? {
            raw.notify = RawNotify::read(&notify, folder)?;
        }
        Ok(raw)
    }
}

fn value<T>(given: Located<T>) -> T {
    given.value
}

#[derive(Default)]
pub(super) struct RawChannel {
    max_in_flight: Option<u32>,
    rate: Option<Rate>,
    request_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    on_uncertain: Option<OnUncertain>,
    uncertain_retries: Option<u32>,
    verify_after: Option<Vec<Duration>>,
    /// An inner `None` is "never".
    follow_up: Option<Option<Duration>>,
    fill_missing: Option<bool>,
    /// An inner `None` is "never".
    scrub: Option<Option<Duration>>,
    retry: RawRetry,
}

impl RawChannel {
    fn read(channel: Channel, section: &Section<'_>) -> Result<Self, ConfigError> {
        section.allow(&[
            "max_in_flight",
            "rate",
            "request_timeout",
            "connect_timeout",
            "on_uncertain",
            "uncertain_retries",
            "verify_after",
            "follow_up",
            "fill_missing",
            "scrub",
            "retry",
        ])?;
        let retry = section.section("retry")?;
        let fill_missing = section.boolean("fill_missing")?;
        if let (Channel::Chat, Some(given)) = (channel, &fill_missing) {
            let problem = "a chat payload must name its case; only mail and sms can leave ids out";
            return Err(ConfigError::invalid(&given.place, problem));
        }
        Ok(RawChannel {
            max_in_flight: section.integer("max_in_flight", 1..=1000)?.map(value),
            rate: section.parsed("rate")?.map(value),
            request_timeout: section.duration("request_timeout", MILLISECOND..=HOUR)?.map(value),
            connect_timeout: section.duration("connect_timeout", MILLISECOND..=HOUR)?.map(value),
            on_uncertain: section.parsed("on_uncertain")?.map(value),
            uncertain_retries: section.integer("uncertain_retries", 0..=1000)?.map(value),
            verify_after: verify_after(section)?,
            follow_up: section.parsed_by("follow_up", follow_up)?.map(value),
            fill_missing: fill_missing.map(value),
            scrub: section.parsed_by("scrub", |text| duration_or("never", text))?.map(value),
            retry: retry.as_ref().map_or(Ok(RawRetry::default()), RawRetry::read)?,
        })
    }

    /// The settings, with defaults for the others; `retry` is the default for `[retry]`.
    pub fn over_defaults(&self, retry: &RetryPolicy) -> Result<ChannelPolicy, ConfigError> {
        let default = ChannelPolicy::default();
        Ok(ChannelPolicy {
            max_in_flight: self.max_in_flight.unwrap_or(default.max_in_flight),
            rate: self.rate.or(default.rate),
            request_timeout: self.request_timeout.unwrap_or(default.request_timeout),
            connect_timeout: self.connect_timeout.unwrap_or(default.connect_timeout),
            on_uncertain: self.on_uncertain.unwrap_or(default.on_uncertain),
            uncertain_retries: self.uncertain_retries.unwrap_or(default.uncertain_retries),
            verify_after: self.verify_after.clone().unwrap_or(default.verify_after),
            follow_up: self.follow_up.unwrap_or(default.follow_up),
            fill_missing: self.fill_missing.unwrap_or(default.fill_missing),
            scrub: self.scrub.unwrap_or(default.scrub),
            retry: self.retry.over(retry)?,
        })
    }
}

/// The pauses before a message is looked for.
fn verify_after(section: &Section<'_>) -> Result<Option<Vec<Duration>>, ConfigError> {
    let Some(texts) = section.texts("verify_after")? else { return Ok(None) };
    let invalid = |problem: String| ConfigError::invalid(&texts.place, problem);
    if !(1..=10).contains(&texts.value.len()) {
        return Err(invalid(
            "must have 1 to 10 pauses, such as [\"5s\", \"30s\", \"5m\"]".to_owned(),
        ));
    }
    let pause = |text: &String| match parse_duration(text) {
        Ok(pause) if (MILLISECOND..=DAY).contains(&pause) => Ok(pause),
        Ok(_) => Err(invalid("each pause must be from 1ms to 1day".to_owned())),
        Err(problem) => Err(invalid(problem)),
    };
    texts.value.iter().map(pause).collect::<Result<_, _>>().map(Some)
}

/// When Acquire is first asked what became of a message.
fn follow_up(text: &str) -> Result<Option<Duration>, String> {
    match duration_or("never", text)? {
        Some(pause) if !(MILLISECOND..=30 * DAY).contains(&pause) => {
            Err("must be from 1ms to 30days, or \"never\"".to_owned())
        }
        pause => Ok(pause),
    }
}

/// Keeps the places of `initial` and `max`, which can only be compared once all layers are combined.
#[derive(Default)]
pub(super) struct RawRetry {
    initial: Option<Located<Duration>>,
    multiplier: Option<f64>,
    max: Option<Located<Duration>>,
    jitter: Option<f64>,
    max_attempts: Option<u32>,
    give_up_after: Option<Duration>,
}

impl RawRetry {
    fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let keys = ["initial", "multiplier", "max", "jitter", "max_attempts", "give_up_after"];
        section.allow(&keys)?;
        Ok(RawRetry {
            initial: section.duration("initial", MILLISECOND..=YEAR)?,
            multiplier: section.number("multiplier", 1.0..=10.0)?.map(value),
            max: section.duration("max", MILLISECOND..=YEAR)?,
            jitter: section.number("jitter", 0.0..=1.0)?.map(value),
            max_attempts: section.integer("max_attempts", 1..=u32::MAX)?.map(value),
            give_up_after: section.duration("give_up_after", MILLISECOND..=CENTURY)?.map(value),
        })
    }

    /// The settings, with those of `base` for the others.
    pub fn over(&self, base: &RetryPolicy) -> Result<RetryPolicy, ConfigError> {
        let policy = RetryPolicy {
            initial: self.initial.as_ref().map_or(base.initial, |given| given.value),
            multiplier: self.multiplier.unwrap_or(base.multiplier),
            max: self.max.as_ref().map_or(base.max, |given| given.value),
            jitter: self.jitter.unwrap_or(base.jitter),
            max_attempts: self.max_attempts.unwrap_or(base.max_attempts),
            give_up_after: self.give_up_after.unwrap_or(base.give_up_after),
        };
        // `base` is valid, so one of the two is set here.
        match self.initial.as_ref().or(self.max.as_ref()) {
            Some(given) if policy.initial > policy.max => Err(ConfigError::invalid(
                &given.place,
                format!(
                    "`initial` ({}) must not be longer than `max` ({})",
                    humantime::format_duration(policy.initial),
                    humantime::format_duration(policy.max)
                ),
            )),
            _ => Ok(policy),
        }
    }
}

/// An inner `None` is "forever".
#[derive(Default)]
pub(super) struct RawRetention {
    sent: Option<Option<Duration>>,
    failed: Option<Option<Duration>>,
    cancelled: Option<Option<Duration>>,
}

impl RawRetention {
    fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        section.allow(&["sent", "failed", "cancelled"])?;
        Ok(RawRetention {
            sent: section.parsed_by("sent", |text| duration_or("forever", text))?.map(value),
            failed: section.parsed_by("failed", |text| duration_or("forever", text))?.map(value),
            cancelled: section
                .parsed_by("cancelled", |text| duration_or("forever", text))?
                .map(value),
        })
    }

    pub fn over_defaults(&self) -> Retention {
        let default = Retention::default();
        Retention {
            sent: self.sent.unwrap_or(default.sent),
            failed: self.failed.unwrap_or(default.failed),
            cancelled: self.cancelled.unwrap_or(default.cancelled),
        }
    }
}

/// A duration, or `None` for `word`.
fn duration_or(word: &str, text: &str) -> Result<Option<Duration>, String> {
    if text == word {
        return Ok(None);
    }
    match parse_duration(text) {
        Ok(age) if age > CENTURY => Err(format!("longer than 100 years; write {word:?}")),
        Ok(age) => Ok(Some(age)),
        Err(problem) => Err(format!("{problem}, or {word:?}")),
    }
}
