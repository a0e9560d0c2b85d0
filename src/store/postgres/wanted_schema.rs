//! The schema as the migrations of this program make it, read from their text.

use super::versions::migrator;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// An object that a migration creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedObject {
    pub kind: ObjectKind,
    pub name: String,
    /// The statement that creates it.
    pub sql: String,
    /// Of a table its columns, of a function the SHA-256 of its body, of a trigger its table.
    pub details: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ObjectKind {
    Table,
    View,
    Type,
    Index,
    Function,
    Trigger,
}

impl ObjectKind {
    pub fn of(word: &str) -> Option<ObjectKind> {
        Some(match word {
            "table" => ObjectKind::Table,
            "view" => ObjectKind::View,
            "type" => ObjectKind::Type,
            "index" => ObjectKind::Index,
            "function" => ObjectKind::Function,
            "trigger" => ObjectKind::Trigger,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::Type => "type",
            ObjectKind::Index => "index",
            ObjectKind::Function => "function",
            ObjectKind::Trigger => "trigger",
        }
    }
}

/// In the order of their creation; where a later migration replaces an object, as that one has it.
pub(super) static WANTED: LazyLock<Vec<WantedObject>> = LazyLock::new(|| {
    let mut objects: Vec<WantedObject> = Vec::new();
    for migration in migrator().iter() {
        for sql in statements(migration.sql.as_str()) {
            let Some(object) = created(&sql) else { continue };
            let same =
                |other: &WantedObject| (other.kind, &other.name) == (object.kind, &object.name);
            objects.retain(|other| !same(other));
            objects.push(object);
        }
    }
    objects
});

/// The statements without the comments between and in them; those in a function's body stay.
fn statements(text: &str) -> Vec<String> {
    let (mut all, mut statement, mut rest) = (Vec::new(), String::new(), text);
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            let comment = rest.find('\n').unwrap_or(rest.len());
            rest = &rest[comment..];
            continue;
        } else if let Some(body) = rest.strip_prefix("$$") {
            body.find("$$").map_or(rest.len(), |end| end + 4)
        } else if next == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else {
            next.len_utf8()
        };
        let (part, after) = rest.split_at(length);
        rest = after;
        if part == ";" {
            all.push(std::mem::take(&mut statement).trim().to_owned());
        } else {
            statement.push_str(part);
        }
    }
    all
}

/// The object that a statement creates, if it is one of those that are compared.
fn created(sql: &str) -> Option<WantedObject> {
    let mut words =
        sql.split_whitespace().filter(|word| !matches!(*word, "UNIQUE" | "OR" | "REPLACE"));
    if words.next() != Some("CREATE") {
        return None;
    }
    let kind = ObjectKind::of(&words.next()?.to_ascii_lowercase())?;
    let name = words.next()?.split('(').next()?.to_owned();
    let details = match kind {
        ObjectKind::Table => columns(sql),
        ObjectKind::Function => vec![hash(sql.split("$$").nth(1)?)],
        ObjectKind::Trigger => {
            let table = sql.split(" ON ").nth(1)?.split_whitespace().next()?;
            vec![table.to_owned()]
        }
        ObjectKind::View | ObjectKind::Type | ObjectKind::Index => Vec::new(),
    };
    Some(WantedObject { kind, name, sql: sql.to_owned(), details })
}

fn hash(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first word of each entry in a table's parentheses, unless the entry is a constraint.
fn columns(sql: &str) -> Vec<String> {
    let inside = sql.split_once('(').map_or("", |(_, inside)| inside);
    let (mut depth, mut entries) = (0_u32, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(entry) = entries.last_mut() {
            entry.push(c);
        }
    }
    let names = entries.iter().filter_map(|entry| entry.split_whitespace().next());
    names
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_the_migrations_is_found() {
        let of = |kind| WANTED.iter().filter(move |object| object.kind == kind);
        let text: String = migrator().iter().map(|m| m.sql.as_str().to_owned()).collect();
        let all = text.lines().filter(|line| line.starts_with("CREATE ")).count();
        assert_eq!(WANTED.len(), all);
        assert!(WANTED.iter().all(|o| o.name.starts_with("outbox") || o.name == "delivery_status"));
        let outbox = of(ObjectKind::Table).find(|table| table.name == "outbox").unwrap();
        assert_eq!(outbox.details.first().unwrap(), "id");
        assert!(outbox.details.contains(&"moves".to_owned()), "{:?}", outbox.details);
        let attempts = of(ObjectKind::Table).find(|table| table.name == "outbox_attempts").unwrap();
        assert_eq!(attempts.details.last().unwrap(), "node");
        assert!(of(ObjectKind::Trigger).all(|trigger| trigger.details[0].starts_with("outbox")));
    }
}
