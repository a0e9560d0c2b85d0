//! The proxy in the environment. An unusable one is an error: to ignore it would send the requests
//! another way, or make them fail.

use super::config_error::{ConfigError, Place};
use super::{Env, variable};
use hyper_util::client::proxy::matcher::Matcher;
use std::fmt;
use url::Url;

/// In order of precedence. HTTP_PROXY is not used, as plain http goes only to this machine, but an
/// unusable value should be reported.
const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];
/// How many of them are for https.
const FOR_HTTPS: usize = 4;

/// The proxy for an account's address. Neither `Debug` nor `Display` shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: &'static str,
    url: Url,
}

impl Proxy {
    /// Includes the user name and password; only for the HTTP client.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for Proxy {
    /// `http://proxy.example:3128 (HTTPS_PROXY)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.url.scheme())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, " ({})", self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The proxy variables of the environment, validated.
pub(super) struct Proxies {
    for_https: Option<Proxy>,
    except: String,
}

impl Proxies {
    /// # Errors
    /// [`ConfigError::Invalid`] for the first unusable one, without its value.
    pub fn read(env: Env<'_>) -> Result<Self, ConfigError> {
        let mut for_https = None;
        for (rank, name) in VARIABLES.into_iter().enumerate() {
            let Some(value) = variable(env, name) else { continue };
            let url = value.to_str().ok_or("must be UTF-8").and_then(parse);
            let url =
                url.map_err(|problem| ConfigError::invalid(&Place::Variable(name), problem))?;
            if rank < FOR_HTTPS && for_https.is_none() {
                for_https = Some(Proxy { variable: name, url });
            }
        }
        let except = ["NO_PROXY", "no_proxy"].iter().find_map(|name| variable(env, name));
        Ok(Proxies {
            for_https,
            except: except.map(|list| list.to_string_lossy().into_owned()).unwrap_or_default(),
        })
    }

    /// The proxy for this address. None for plain http, which goes only to this machine.
    pub fn proxy_for(&self, address: &Url) -> Option<Proxy> {
        let proxy = self.for_https.as_ref().filter(|_| address.scheme() == "https")?;
        let matcher = Matcher::builder().all(proxy.url.as_str()).no(self.except.as_str()).build();
        matcher.intercept(&address.as_str().parse().ok()?)?;
        Some(proxy.clone())
    }
}

/// A proxy's address, with or without `http://`.
fn parse(text: &str) -> Result<Url, &'static str> {
    const ADDRESS: &str = "must be an address such as http://user:password@proxy.example:3128; in the \
                           user name and the password write `#` as %23, `/` as %2F, `?` as %3F, `@` \
                           as %40 and `%` as %25; or unset the variable";
    let with_scheme = match text.contains("://") {
        true => text.trim().to_owned(),
        false => format!("http://{}", text.trim()),
    };
    let url = Url::parse(&with_scheme).map_err(|_| ADDRESS)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(
            "only http:// and https:// proxies are supported; name such a proxy, or unset \
                    the variable",
        );
    }
    // An unescaped `#`, `/` or `?` in the password ends the address there.
    let whole = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let usable = Matcher::builder().all(url.as_str()).build();
    let usable = "https://acquire.io".parse().is_ok_and(|any| usable.intercept(&any).is_some());
    if whole && usable { Ok(url) } else { Err(ADDRESS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::ffi::OsString;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, ConfigError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Proxies::read(&|name| variables.get(name).map(OsString::from))
    }

    fn used(variables: &[(&str, &str)], address: &str) -> Option<String> {
        let proxies = read(variables).unwrap();
        proxies.proxy_for(&Url::parse(address).unwrap()).map(|proxy| proxy.to_string())
    }

    const ACME: &str = "https://acme.acquire.io/api/v1";

    #[test]
    fn the_usual_variables_are_read_in_upper_and_lower_case() {
        for (variables, expected) in [
            (&[("HTTPS_PROXY", "http://p:3128")][..], Some("http://p:3128 (HTTPS_PROXY)")),
            (&[("https_proxy", "p:3128")], Some("http://p:3128 (https_proxy)")),
            (&[("all_proxy", "https://me:pw@p")], Some("https://p (all_proxy)")),
            (&[("ALL_PROXY", "me:p%23@p:1/")], Some("http://p:1 (ALL_PROXY)")),
            (
                &[("ALL_PROXY", "http://a"), ("https_proxy", "http://b")],
                Some("http://b (https_proxy)"),
            ),
            (&[("HTTP_PROXY", "http://p")], None),
            (&[("HTTPS_PROXY", "")], None),
            (&[], None),
            (&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", "x.example, acquire.io")], None),
            (&[("HTTPS_PROXY", "http://p"), ("no_proxy", "*")], None),
            (&[("HTTPS_PROXY", "http://p"), ("no_proxy", "b.io")], Some("http://p (HTTPS_PROXY)")),
        ] {
            assert_eq!(used(variables, ACME).as_deref(), expected, "{variables:?}");
        }
        assert_eq!(used(&[("ALL_PROXY", "http://p")], "http://127.0.0.1:8787/api/v1"), None);
    }

    #[test]
    fn an_unusable_variable_is_named_without_its_value() {
        for name in VARIABLES {
            for value in [
                "http://me:secr#et@p:3128",
                "http://me#secret@p:3128",
                "me:secr/et@p",
                "http://me:secr?et@p",
                "http://p:port-secret",
                "http://p:3128/secret",
                "http://",
                "socks5://me:secret@p:1080",
                "ftp://secret",
                "sec ret",
            ] {
                let error = read(&[(name, value)]).err().expect(value).to_string();
                assert!(error.contains(name) && !error.contains("secr"), "{value}: {error}");
            }
        }
        let shown =
            format!("{:?}", read(&[("ALL_PROXY", "http://me:secret@p")]).unwrap().for_https);
        assert!(!shown.contains("secret"), "{shown}");
    }
}
