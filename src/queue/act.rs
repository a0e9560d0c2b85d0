//! What people and programs have done to a job, and who they are.

use super::payload::Json;
use serde::Serialize;
use std::fmt;

/// Longer names are cut off.
const LONGEST_NAME: usize = 100;

/// Who changes jobs through a command or a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub origin: ActOrigin,
    /// One line of 1 to 100 characters.
    pub name: Option<String>,
}

/// By what means a job was changed, other than SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActOrigin {
    Command,
    Page,
}

impl ActOrigin {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            ActOrigin::Command => "command",
            ActOrigin::Page => "page",
        }
    }
}

impl Actor {
    pub fn new(origin: ActOrigin, name: &str) -> Actor {
        Actor { origin, name: one_line(name) }
    }
}

/// `command:anna`, as the triggers on PostgreSQL read it.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.origin.as_str(), self.name.as_deref().unwrap_or_default())
    }
}

/// The name without control characters, shortened; `None` if nothing is left.
pub fn one_line(name: &str) -> Option<String> {
    let seen: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    Some(seen.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A row of `outbox_acts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// Its order among the acts.
    #[serde(skip)]
    pub id: i64,
    /// ISO 8601, UTC, with milliseconds.
    pub at: String,
    /// `retry`, `try_now`, `cancel`, `fail`, `resolve_sent`, `resolve_failed`, `verify`, `change` or `insert`.
    pub deed: String,
    /// `command`, `page` or `sql`.
    pub origin: String,
    /// The system user's name, or the one given at the login; for SQL on PostgreSQL, the role.
    pub name: Option<String>,
    /// The columns that were changed.
    pub detail: Option<String>,
    /// Whether the earlier payload is kept.
    pub keeps_payload: bool,
    /// The earlier payload, which is message text: only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
}

impl Act {
    /// `page: Anna`, `command: root`, `SQL`.
    pub fn by(&self) -> String {
        let origin = if self.origin == "sql" { "SQL" } else { &self.origin };
        match &self.name {
            Some(name) => format!("{origin}: {name}"),
            None => origin.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line_or_none() {
        let named = |name| Actor::new(ActOrigin::Page, name).name;
        assert_eq!(named(" Anna \n Lee"), Some("Anna  Lee".to_owned()));
        assert_eq!(named(" \u{1b} "), None);
        assert_eq!(named(&"é".repeat(101)).unwrap().chars().count(), 100);
        assert_eq!(Actor::new(ActOrigin::Command, "root").to_string(), "command:root");
    }
}
