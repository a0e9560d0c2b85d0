//! Plain English: words that a careful native engineer would not write, in docs, help, comments and sentences.

use std::fs;
use std::path::{Path, PathBuf};

/// A phrase in lower case, and the words after it that make it right.
const PHRASES: &[(&str, &[&str])] = &[
    ("anew", &[]),
    ("shall", &[]),
    ("in vain", &[]),
    ("heed", &[]),
    ("heeds", &[]),
    ("hopes", &[]),
    ("in one go", &[]),
    ("of its own", &[]),
    ("for who", &[]),
    ("goes on", &["to"]),
    ("go on", &["to"]),
    ("is no more", &["than"]),
    ("people's words", &[]),
    ("the hour", &[]),
    ("some seconds", &[]),
    ("who it is", &["from"]),
    ("is told", &["to"]),
    ("are told", &["to"]),
    ("tells of", &[]),
    ("tell of", &[]),
    ("beside", &[]),
    ("dear", &[]),
    ("so long", &["ago", "that"]),
    ("the wire", &[]),
    ("stands", &["by", "for", "still"]),
    ("stand in", &["for"]),
];

/// With a capital these are something else: the language Go, Dear Anne.
const NAMES: [&str; 2] = ["dear", "go"];

/// Where the words are written for people.
const PLACES: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "src",
    "migrations",
    "packaging",
];

fn files(place: &Path, found: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            files(&entry.unwrap().path(), found);
        }
        return;
    }
    let ending = place.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["md", "rs", "sql", "yml", "toml", "txt", "service", "js"].contains(&ending) {
        found.push(place.to_owned());
    }
}

/// The words with their lines; a mark that ends a sentence is a word, so that no phrase goes across it.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (line, text) in text.lines().enumerate() {
        // The mark of a comment, or of a line of a string that continues.
        let text = text.trim_start().trim_start_matches(['/', '!', '-', '#', '*', '|', '>']);
        let text = text.trim_end_matches('\\').replace('’', "'");
        let mut word = String::new();
        for c in text.chars().chain([' ']) {
            if c.is_alphanumeric() || c == '\'' || c == '_' || c == '-' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                words.push((line + 1, std::mem::take(&mut word)));
            }
            if !c.is_whitespace() && !['`', '*', '('].contains(&c) {
                words.push((line + 1, c.to_string()));
            }
        }
    }
    words
}

fn faults(text: &str) -> Vec<String> {
    let phrases =
        PHRASES.iter().map(|(phrase, right)| (phrase, phrase.split(' ').collect(), right));
    let phrases: Vec<(&&str, Vec<&str>, &&[&str])> = phrases.collect();
    let words = words(text);
    let mut faults = Vec::new();
    for at in 0..words.len() {
        let first = words[at].1.to_lowercase();
        for (phrase, parts, right) in &phrases {
            let is_name = NAMES.contains(&parts[0]) && words[at].1 != parts[0];
            if first != parts[0] || is_name {
                continue;
            }
            let Some(here) = words.get(at..at + parts.len()) else { continue };
            let is_it = here.iter().zip(parts).skip(1).all(|((_, word), part)| word == part);
            let next = words.get(at + parts.len()).map(|(_, word)| word.as_str());
            if is_it && !next.is_some_and(|next| right.contains(&next)) {
                faults.push(format!("line {}: \"{phrase}\"", here[0].0));
            }
        }
    }
    faults
}

#[test]
fn no_word_of_the_list_is_written_for_people() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for place in PLACES {
        files(&root.join(place), &mut found);
    }
    assert!(found.len() > 300, "{}", found.len());
    let mut all = Vec::new();
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display().to_string();
        all.extend(faults(&text).into_iter().map(|fault| format!("{name}, {fault}")));
    }
    assert!(
        all.is_empty(),
        "say it in the usual way (CONTRIBUTING.md, Style):\n{}",
        all.join("\n")
    );
}

#[test]
fn a_phrase_is_found_across_a_line_and_a_usual_one_is_left_alone() {
    assert_eq!(faults("/// What is due goes\n/// on by itself."), ["line 1: \"goes on\""]);
    assert_eq!(faults("It is told."), ["line 1: \"is told\""]);
    for right in [
        "It goes on to the next.",
        "as it goes. On Monday",
        "they end when they are told to",
        "Dear Anne",
    ] {
        assert_eq!(faults(right), [""; 0], "{right}");
    }
}
