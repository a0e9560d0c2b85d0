//! An account as the file and the environment configure it: validated, but its key not yet read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::address::{AccountId, BaseUrl};
use super::config_error::ConfigError;
use super::proxy::Proxies;
use super::secret::{KeySource, Secret};
use super::section::{Located, Section};
use super::{Account, DEFAULT_ACCOUNT, Env, parsed_variable};

/// As the vendor documents the query parameter; some accounts use `-x-user-type`.
pub(super) const USER_TYPE_PARAMETER: &str = "x-user-type";

#[derive(Default)]
pub(super) struct RawAccount {
    pub address: Option<BaseUrl>,
    pub key: Option<KeySource>,
    pub user_type_parameter: Option<String>,
    pub ca_file: Option<Located<PathBuf>>,
}

/// Where an account's requests go; enough to show one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountAddress {
    /// `None` if it is not configured.
    pub base_url: Option<Url>,
    pub user_type_parameter: String,
}

impl From<&RawAccount> for AccountAddress {
    fn from(raw: &RawAccount) -> AccountAddress {
        AccountAddress {
            base_url: raw.address.as_ref().map(|address| address.0.clone()),
            user_type_parameter: parameter_or_default(raw.user_type_parameter.clone()),
        }
    }
}

impl From<&Account> for AccountAddress {
    fn from(account: &Account) -> AccountAddress {
        AccountAddress {
            base_url: Some(account.base_url.clone()),
            user_type_parameter: account.user_type_parameter.clone(),
        }
    }
}

impl RawAccount {
    /// Relative paths are relative to `folder`.
    pub fn read(
        name: &Located<&str>,
        section: &Section<'_>,
        folder: &Path,
    ) -> Result<Self, ConfigError> {
        // The same rule as for the column `account`, in the trigger outbox_check_row.
        if name.value.is_empty() || !name.value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            let problem = "an account name must be one or more printable ASCII characters";
            return Err(ConfigError::invalid(&name.place, problem));
        }
        section.allow(&[
            "account_id",
            "base_url",
            "api_key_file",
            "api_key_env",
            "api_key_credential",
            "user_type_parameter",
            "ca_file",
        ])?;
        let id = section.parsed::<AccountId>("account_id")?;
        let url = section.parsed::<BaseUrl>("base_url")?;

        let parameter = section.text("user_type_parameter")?;
        if let Some(parameter) = &parameter
            && !parameter.value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            let problem =
                "must be the name of a query parameter: letters, digits, `-`, `_` and `.`";
            return Err(ConfigError::invalid(&parameter.place, problem));
        }
        Ok(RawAccount {
            address: address(id.map(|id| id.value), url.map(|url| url.value)),
            key: KeySource::in_section(Secret::ApiKey, section, folder)?,
            user_type_parameter: parameter.map(|parameter| parameter.value),
            ca_file: section
                .text("ca_file")?
                .map(|path| Located { place: path.place, value: folder.join(path.value) }),
        })
    }

    /// Reads its key and certificates.
    pub fn open(self, name: &str, env: Env<'_>, proxies: &Proxies) -> Result<Account, ConfigError> {
        let account = || name.to_owned();
        let address = self.address.ok_or_else(|| ConfigError::NoAddress { account: account() })?;
        let key = self.key.ok_or_else(|| ConfigError::NoKey { account: account() })?;
        Ok(Account {
            name: account(),
            proxy: proxies.proxy_for(&address.0),
            base_url: address.0,
            api_key: key.read(env)?,
            user_type_parameter: parameter_or_default(self.user_type_parameter),
            extra_roots: self.ca_file.as_ref().map(certificates).transpose()?.unwrap_or_default(),
        })
    }
}

/// The certificates of a PEM file; at least one.
fn certificates(file: &Located<PathBuf>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let invalid = |problem: String| ConfigError::invalid(&file.place, problem);
    let pem = std::fs::read(&file.value).map_err(|error| {
        invalid(format!("cannot read the certificates in {}: {error}", file.value.display()))
    })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(invalid(format!("{} contains no PEM certificates", file.value.display()))),
    }
}

pub(super) fn parameter_or_default(given: Option<String>) -> String {
    given.unwrap_or_else(|| USER_TYPE_PARAMETER.to_owned())
}

/// Overrides the file's account `default` with the environment's. Its address, as an id or a URL,
/// replaces the file's address in either form, and likewise its key.
pub(super) fn overlay_environment(
    accounts: &mut BTreeMap<String, RawAccount>,
    env: Env<'_>,
) -> Result<(), ConfigError> {
    let id = parsed_variable::<AccountId>(env, "ACQUIRE_ACCOUNT_ID")?.map(|id| id.value);
    let url = parsed_variable::<BaseUrl>(env, "ACQUIRE_BASE_URL")?.map(|url| url.value);
    let address = address(id, url);

    let key = KeySource::in_environment(Secret::ApiKey, env)?;

    // If there are other accounts, a key alone does not make a `default`: one of them may name the
    // variable in `api_key_env`.
    let has_default = address.is_some() || (key.is_some() && accounts.is_empty());
    if has_default || accounts.contains_key(DEFAULT_ACCOUNT) {
        let account = accounts.entry(DEFAULT_ACCOUNT.to_owned()).or_default();
        account.address = address.or(account.address.take());
        account.key = key.or(account.key.take());
    }
    Ok(())
}

/// The URL if both are set, as it is more specific.
fn address(id: Option<AccountId>, url: Option<BaseUrl>) -> Option<BaseUrl> {
    url.or_else(|| id.map(|id| id.base_url()))
}
