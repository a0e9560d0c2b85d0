//! `[web] path_prefix`: where a reverse proxy has the dashboard, if not at the root of its host.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A path such as `/outbox`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(String);

/// The first parts of the dashboard's own paths. A prefix that begins like one of them would be ambiguous
/// behind a proxy that removes it.
pub const OWN_PATHS: [&str; 12] = [
    "api", "assets", "healthz", "jobs", "login", "logout", "metrics", "pauses", "readyz", "search",
    "send", "theme",
];

const LONGEST: usize = 200;

impl FromStr for PathPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("must begin with a slash, such as \"/outbox\"");
        };
        if text.ends_with('/') {
            return Err(
                "must not end with a slash; write it as \"/outbox\", or leave it out for none",
            );
        }
        let is_plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            !part.is_empty() && part.chars().all(allowed) && part != "." && part != ".."
        };
        if text.len() > LONGEST || !path.split('/').all(is_plain) {
            return Err(
                "must be at most 200 letters, digits, -, ., _ and ~, in parts separated by single slashes",
            );
        }
        let first = path.split('/').next().unwrap_or_default();
        match OWN_PATHS.contains(&first) {
            true => Err(
                "begins like a page of the dashboard itself; choose another, such as \"/outbox\"",
            ),
            false => Ok(PathPrefix(text.to_owned())),
        }
    }
}

impl PathPrefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_path_that_no_page_of_ours_has() {
        for good in ["/outbox", "/a/b-c/d_e", "/~ops/out.box", "/jobs2"] {
            assert_eq!(good.parse::<PathPrefix>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "outbox",
            "/outbox/",
            "//outbox",
            "/a//b",
            "/a/../b",
            "/.",
            "/a b",
            "/a?b",
            "/a\"b",
            "/ä",
            "/%2f",
            "/jobs",
            "/api/outbox",
        ] {
            assert!(bad.parse::<PathPrefix>().is_err(), "{bad:?}");
        }
        assert!(format!("/{}", "a".repeat(200)).parse::<PathPrefix>().is_err());
    }
}
