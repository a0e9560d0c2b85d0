//! The dashboard's settings: where it listens, its token, and its host names.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

use super::config_error::{ConfigError, Place};
use super::inbox_link::InboxLink;
use super::path_prefix::PathPrefix;
use super::secret::{KeySource, Secret};
use super::section::{Located, Section};
use super::{Env, Flags, Web, parsed_variable};

/// A token shorter than this can be guessed.
const MIN_TOKEN_LENGTH: usize = 16;

/// Behind a proxy even a loopback address can be reached from other machines.
const HOSTS_WITHOUT_TOKEN: &str = "with these names the dashboard can be reached from other machines, through a proxy, so it needs a \
     token; set `token_file` in [web] or ACQUIRE_OUTBOX_WEB_TOKEN_FILE, or remove `hosts`";

/// An address to listen on. Not a host name, which could have several addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(ListenAddress).map_err(|_| {
            "must be an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464 (instead of \
             localhost write 127.0.0.1)"
        })
    }
}

/// `[web]` as the file, the environment and the flags configure it; the token not yet read.
#[derive(Default)]
pub(super) struct RawWeb {
    listen: Option<Located<ListenAddress>>,
    token: Option<KeySource>,
    hosts: Option<Located<Vec<String>>>,
    pub inbox: Option<InboxLink>,
    path_prefix: Option<PathPrefix>,
}

impl RawWeb {
    /// A relative `token_file` is relative to `folder`.
    pub fn read(section: &Section<'_>, folder: &Path) -> Result<Self, ConfigError> {
        section.allow(&[
            "listen",
            "token_file",
            "token_env",
            "token_credential",
            "hosts",
            "inbox_url",
            "path_prefix",
        ])?;
        Ok(RawWeb {
            listen: section.parsed("listen")?,
            token: KeySource::in_section(Secret::WebToken, section, folder)?,
            hosts: hosts(section)?,
            inbox: section.parsed("inbox_url")?.map(|inbox| inbox.value),
            path_prefix: section.parsed("path_prefix")?.map(|prefix| prefix.value),
        })
    }

    /// Overrides the file with the environment, and both with the flags.
    pub fn overlay(mut self, flags: &Flags, env: Env<'_>) -> Result<Self, ConfigError> {
        if let Some(listen) = flags.listen {
            self.listen = Some(Located { value: listen, place: Place::Flag("--listen") });
        } else if let Some(listen) = parsed_variable(env, "ACQUIRE_OUTBOX_LISTEN")? {
            self.listen = Some(listen);
        }
        let token = KeySource::in_environment(Secret::WebToken, env)?;
        self.token = token.or(self.token.take());
        Ok(self)
    }

    /// Reads its token; `None` if no address is set.
    pub fn open(self, env: Env<'_>) -> Result<Option<Web>, ConfigError> {
        let token = self.token.map(|token| read_token(&token, env)).transpose()?;
        let Some(Located { value: ListenAddress(listen), place }) = self.listen else {
            return Ok(None);
        };
        if token.is_none() && !listen.ip().to_canonical().is_loopback() {
            let problem = format!(
                "{listen} can be reached from other machines, so the dashboard needs a token; set \
                 `token_file` in [web] or ACQUIRE_OUTBOX_WEB_TOKEN_FILE, or listen on \
                 127.0.0.1:{}",
                listen.port()
            );
            return Err(ConfigError::invalid(&place, problem));
        }
        if token.is_none()
            && let Some(hosts) = self.hosts.as_ref().filter(|hosts| !hosts.value.is_empty())
        {
            return Err(ConfigError::invalid(&hosts.place, HOSTS_WITHOUT_TOKEN));
        }
        let hosts = self.hosts.map(|hosts| hosts.value).unwrap_or_default();
        Ok(Some(Web { listen, token, hosts, inbox: self.inbox, path_prefix: self.path_prefix }))
    }
}

fn read_token(source: &KeySource, env: Env<'_>) -> Result<SecretString, ConfigError> {
    let token = source.read(env)?;
    if token.expose_secret().len() < MIN_TOKEN_LENGTH {
        let problem = format!(
            "the token is too short; it needs at least {MIN_TOKEN_LENGTH} characters, such as those \
             that `openssl rand -hex 32` prints"
        );
        return Err(ConfigError::invalid(&source.place, problem));
    }
    Ok(token)
}

/// Host names in lower case, each with or without a port.
fn hosts(section: &Section<'_>) -> Result<Option<Located<Vec<String>>>, ConfigError> {
    let Some(names) = section.texts("hosts")? else { return Ok(None) };
    let is_valid = |name: &String| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        (1..=255).contains(&name.len()) && name.chars().all(is_allowed)
    };
    match names.value.iter().all(is_valid) {
        true => {
            let value = names.value.iter().map(|name| name.to_ascii_lowercase()).collect();
            Ok(Some(Located { value, place: names.place }))
        }
        false => Err(ConfigError::invalid(
            &names.place,
            "must be host names as in a browser's address bar, such as \
             [\"outbox.example.com\"], without a scheme or path",
        )),
    }
}
