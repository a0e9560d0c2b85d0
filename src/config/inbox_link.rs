//! `[web] inbox_url`: where a case is in Acquire's own inbox.

use std::str::FromStr;

use url::{Url, form_urlencoded};

/// An address with `{case}` in it, and perhaps `{contact}` or `{host}`, the host of the job's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxLink(String);

const EXAMPLE: &str =
    "must be an address with {case} in it, such as \"https://example.acquire.io/inbox/{case}\"";

impl FromStr for InboxLink {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let link = InboxLink(text.to_owned());
        if !text.contains("{case}") {
            return Err(EXAMPLE);
        }
        let filled = link.filled("1", "1", "host.example.com");
        if filled.contains(['{', '}']) {
            return Err(
                "has an unknown placeholder in it; the known ones are {case}, {contact} and {host}",
            );
        }
        let url = Url::parse(&filled).map_err(|_| EXAMPLE)?;
        let is_web = matches!(url.scheme(), "https" | "http") && url.username().is_empty();
        // A case never decides which host is opened.
        let other = Url::parse(&link.filled("2", "2", "host.example.com")).map_err(|_| EXAMPLE)?;
        match is_web && url.password().is_none() && url.origin() == other.origin() {
            true => Ok(link),
            false => Err(EXAMPLE),
        }
    }
}

impl InboxLink {
    /// Where this case is; `None` where the template needs a contact or a host that is not known.
    pub fn of(&self, case: i64, contact: Option<i64>, host: Option<&str>) -> Option<String> {
        if contact.is_none() && self.0.contains("{contact}") {
            return None;
        }
        if host.is_none() && self.0.contains("{host}") {
            return None;
        }
        let contact = contact.map(|id| id.to_string()).unwrap_or_default();
        Some(self.filled(&case.to_string(), &contact, host.unwrap_or_default()))
    }

    fn filled(&self, case: &str, contact: &str, host: &str) -> String {
        let escaped =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let text = self.0.replace("{case}", &escaped(case));
        text.replace("{contact}", &escaped(contact)).replace("{host}", &escaped(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_address_whose_host_no_case_decides() {
        for (template, link) in [
            ("https://acme.acquire.io/inbox/{case}", Some("https://acme.acquire.io/inbox/2069")),
            (
                "https://{host}/inbox?c={case}&p={contact}",
                Some("https://a.example/inbox?c=2069&p=7"),
            ),
            ("http://localhost:8080/#{case}", Some("http://localhost:8080/#2069")),
            ("https://acme.acquire.io/inbox", None),
            ("https://acme.acquire.io/{case}/{id}", None),
            ("https://{case}.acquire.io/", None),
            ("https://u:p@acme.acquire.io/{case}", None),
            ("javascript:alert({case})", None),
            ("/inbox/{case}", None),
        ] {
            let parsed = template.parse::<InboxLink>().ok();
            let of = parsed.and_then(|parsed| parsed.of(2069, Some(7), Some("a.example")));
            assert_eq!(of.as_deref(), link, "{template}");
        }
        let with_contact: InboxLink = "https://a/{case}/{contact}".parse().unwrap();
        assert_eq!(with_contact.of(1, None, None), None);
    }
}
