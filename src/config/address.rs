//! Where an account's requests go: `account_id` or `base_url`, checked.

use std::str::FromStr;

use url::{Host, Url};

/// An account's name at Acquire: one host label.
pub(super) struct AccountId(String);

impl AccountId {
    /// `https://ID.acquire.io/api/v1`.
    pub fn base_url(&self) -> BaseUrl {
        let url = Url::parse(&format!("https://{}.acquire.io/api/v1", self.0));
        BaseUrl(url.expect("letters, digits and hyphens make a host label"))
    }
}

impl FromStr for AccountId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let label = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            // Punycode that may not decode, which makes no host.
            && Url::parse(&format!("https://{text}.acquire.io/")).is_ok();
        match label {
            true => Ok(AccountId(text.to_owned())),
            false => Err("the account's name at Acquire is needed, that is the first part of its \
                          host name (`acme` for acme.acquire.io): letters, digits and hyphens; for \
                          a whole URL use `base_url`"),
        }
    }
}

/// The URL that every endpoint's path is appended to; without a slash at its end.
pub(super) struct BaseUrl(pub Url);

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let shape = "a URL is needed, such as \"https://acme.acquire.io/api/v1\"";
        let mut url = Url::parse(text).map_err(|_| shape)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(
                    "plain http would show the API key to the network; use https (http is \
                            for 127.0.0.0/8, [::1] and localhost only)",
                );
            }
            _ => return Err(shape),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL without user name and password is needed; the API key goes into \
                        `api_key_file`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a URL without `?` and `#` is needed; paths are appended to it");
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        Ok(BaseUrl(url))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `base` with `path` behind it, one slash between them; `path` is text, not yet escaped.
pub(super) fn endpoint(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.trim_start_matches('/').split('/'));
    }
    url
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
            assert!(refusal(shapeless).contains("a URL is needed"), "{shapeless}");
        }
    }

    #[test]
    fn an_endpoint_has_one_slash_between_base_and_path() {
        for base in ["https://a.io/api/v1", "https://a.io/api/v1/"] {
            let base: BaseUrl = base.parse().unwrap();
            for path in ["mail/add-message", "/mail/add-message"] {
                assert_eq!(
                    endpoint(&base.0, path).as_str(),
                    "https://a.io/api/v1/mail/add-message"
                );
            }
        }
        let bare: BaseUrl = "http://127.0.0.1:1".parse().unwrap();
        assert_eq!(endpoint(&bare.0, "/sms").as_str(), "http://127.0.0.1:1/sms");
    }
}
