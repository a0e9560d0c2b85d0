//! Where an account's requests are sent: `account_id` or `base_url`, validated.

use std::str::FromStr;

use url::{Host, Url};

/// The account's name at Acquire: one label of a host name.
pub(super) struct AccountId(String);

impl AccountId {
    /// `https://ID.acquire.io/api/v1`.
    pub fn base_url(&self) -> BaseUrl {
        let url = Url::parse(&format!("https://{}.acquire.io/api/v1", self.0));
        BaseUrl(url.expect("letters, digits and hyphens are a valid host label"))
    }
}

impl FromStr for AccountId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let label = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            // It may be Punycode that cannot be decoded.
            && Url::parse(&format!("https://{text}.acquire.io/")).is_ok();
        match label {
            true => Ok(AccountId(text.to_owned())),
            false => Err("must be the account's name at Acquire, the first part of its host name \
                          (`acme` for acme.acquire.io): letters, digits and hyphens; for a whole \
                          URL use `base_url`"),
        }
    }
}

/// The URL to which each endpoint's path is appended; without a trailing slash.
pub(super) struct BaseUrl(pub Url);

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let shape = "must be a URL, such as \"https://acme.acquire.io/api/v1\"";
        let mut url = Url::parse(text).map_err(|_| shape)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(
                    "plain http would expose the API key on the network; use https (http is only \
                            for 127.0.0.0/8, [::1] and localhost)",
                );
            }
            _ => return Err(shape),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or password; put the API key into \
                        `api_key_file`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not contain `?` or `#`, as paths are appended to it");
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        Ok(BaseUrl(url))
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> &'static str {
        text.parse::<BaseUrl>().err().unwrap_or_default()
    }

    #[test]
    fn an_account_id_is_one_host_label() {
        for good in ["acme", "a", "7", "acme-2", "ACME", &"a".repeat(63)] {
            let id: AccountId = good.parse().unwrap();
            let expected = format!("https://{}.acquire.io/api/v1", good.to_lowercase());
            assert_eq!(id.base_url().0.as_str(), expected);
        }
        let long = "a".repeat(64);
        for bad in ["", "-acme", "acme-", "acme.evil", "a/b", "a@b", "a b", "é", "xn--a", &long] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn http_goes_to_loopback_only() {
        for good in ["127.0.0.1:8787", "127.9.9.9", "[::1]:80", "localhost:1", "LOCALHOST"] {
            assert_eq!(refusal(&format!("http://{good}/api/v1")), "");
        }
        for bad in
            ["acme.acquire.io", "10.0.0.1", "localhost.evil.io", "127.0.0.1.evil.io", "[::2]"]
        {
            assert!(refusal(&format!("http://{bad}/api/v1")).contains("https"), "{bad}");
            assert_eq!(refusal(&format!("https://{bad}/api/v1")), "");
        }
    }

    #[test]
    fn a_base_url_has_neither_userinfo_nor_query_nor_fragment() {
        assert!(refusal("https://me:pw@acme.acquire.io/api/v1").contains("user name"));
        assert!(refusal("http://127.0.0.1@acme.acquire.io/").contains("https"));
        assert!(refusal("https://acme.acquire.io/api/v1?a=b").contains("`?`"));
        assert!(refusal("https://acme.acquire.io/api/v1#a").contains("`#`"));
        for shapeless in ["acme", "ftp://acme.acquire.io", "https://", "/api/v1", "mailto:a@b"] {
            assert!(refusal(shapeless).contains("must be a URL"), "{shapeless}");
        }
    }
}
