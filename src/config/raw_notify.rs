//! Whom the daemon tells when the verdict changes: a command, or a web address.

use std::fmt;
use std::path::Path;

use secrecy::SecretString;
use url::Url;

use super::address::is_loopback;
use super::config_error::ConfigError;
use super::secret::{KeySource, Secret};
use super::section::{Located, Section};
use super::{Env, parsed_variable};

/// `[notify]`. Its `Debug` shows no address and no secret: the address of a webhook often is one.
#[derive(Clone)]
pub struct Notify {
    pub target: NotifyTarget,
    /// Signs what is sent to an address.
    pub secret: Option<SecretString>,
}

/// What is called.
#[derive(Clone, PartialEq, Eq)]
pub enum NotifyTarget {
    /// The program and its arguments.
    Command(Vec<String>),
    Url(Url),
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            NotifyTarget::Command(_) => "command",
            NotifyTarget::Url(_) => "url",
        };
        f.debug_struct("Notify").field("target", &target).finish_non_exhaustive()
    }
}

/// `[notify]` as the file and the environment configure it; the secret not yet read.
#[derive(Default)]
pub(super) struct RawNotify {
    command: Option<Located<Vec<String>>>,
    url: Option<Located<HookUrl>>,
    secret: Option<KeySource>,
}

/// An address that is called.
struct HookUrl(Url);

impl std::str::FromStr for HookUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let shape = "must be a URL, such as \"https://hooks.example.com/outbox\"";
        let url = Url::parse(text).map_err(|_| shape)?;
        match url.scheme() {
            "https" => Ok(HookUrl(url)),
            "http" if is_loopback(&url) => Ok(HookUrl(url)),
            "http" => Err("must be https; plain http is only for 127.0.0.0/8, [::1] and localhost"),
            _ => Err(shape),
        }
    }
}

impl RawNotify {
    /// A relative `secret_file` is relative to `folder`.
    pub fn read(section: &Section<'_>, folder: &Path) -> Result<Self, ConfigError> {
        section.allow(&["command", "url", "secret_file", "secret_env", "secret_credential"])?;
        let command = section.texts("command")?;
        if let Some(command) = &command
            && command.value.first().is_none_or(String::is_empty)
        {
            let problem = "must name a program, such as [\"/usr/local/bin/page-me\"]";
            return Err(ConfigError::invalid(&command.place, problem));
        }
        Ok(RawNotify {
            command,
            url: section.parsed("url")?,
            secret: KeySource::in_section(Secret::SigningKey, section, folder)?,
        })
    }

    /// Overrides the file with the environment.
    pub fn overlay(mut self, env: Env<'_>) -> Result<Self, ConfigError> {
        if let Some(url) = parsed_variable(env, "ACQUIRE_OUTBOX_NOTIFY_URL")? {
            self.url = Some(url);
        }
        let secret = KeySource::in_environment(Secret::SigningKey, env)?;
        self.secret = secret.or(self.secret.take());
        Ok(self)
    }

    /// Reads its secret; `None` if nobody is to be told.
    pub fn open(self, env: Env<'_>) -> Result<Option<Notify>, ConfigError> {
        let secret = self.secret.as_ref().map(|secret| secret.read(env)).transpose()?;
        let target = match (self.command, self.url) {
            (None, None) => {
                return match self.secret {
                    Some(secret) => {
                        let problem =
                            "signs what is sent to the `url` of [notify], which is not set";
                        Err(ConfigError::invalid(&secret.place, problem))
                    }
                    None => Ok(None),
                };
            }
            (Some(_), Some(url)) => {
                let problem = "keep one of `command` and `url`";
                return Err(ConfigError::invalid(&url.place, problem));
            }
            (Some(command), None) => NotifyTarget::Command(command.value),
            (None, Some(url)) => NotifyTarget::Url(url.value.0),
        };
        if let (NotifyTarget::Command(_), Some(secret)) = (&target, &self.secret) {
            let problem = "signs what is sent to a `url`; a `command` needs none";
            return Err(ConfigError::invalid(&secret.place, problem));
        }
        Ok(Some(Notify { target, secret }))
    }
}
