//! A disk that promises no more than it must: what was synced is there, of the rest any part.

use super::recorder::{Step, What};
use std::collections::BTreeMap;
use std::path::Path;

/// What a disk writes as one.
const SECTOR: usize = 512;

/// What becomes of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// None is there.
    Lost,
    /// All are there.
    Kept,
    /// The first of them are there, in order.
    Prefix,
    /// Any of them is there, each whole: so they came in any order.
    Some,
    /// Any sector of any of them is there.
    Torn,
    /// As torn, and some sectors are neither old nor new.
    Garbage,
}

impl Fate {
    pub const ALL: [Fate; 6] =
        [Fate::Lost, Fate::Kept, Fate::Prefix, Fate::Some, Fate::Torn, Fate::Garbage];
}

#[derive(Clone)]
enum Change {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    /// The steps that made them, and whether these have ended.
    pending: Vec<(usize, bool, Change)>,
}

enum Entry {
    Made { name: String, content: usize },
    Gone { name: String },
}

/// The state of the disk while the steps are played to it, line by line.
pub struct Disk {
    contents: Vec<Content>,
    /// What the folder is now, for the programs.
    names: BTreeMap<String, usize>,
    /// What it is at least after a power loss, and what came since then, in order.
    durable_names: BTreeMap<String, usize>,
    entries: Vec<Entry>,
    /// Syncs that have begun: step, content, and the steps that they cover.
    syncs: Vec<(usize, Option<usize>, Vec<usize>, usize)>,
}

impl Disk {
    /// With this file, durable.
    pub fn with(name: &str, durable: Vec<u8>) -> Disk {
        let names = BTreeMap::from([(name.to_owned(), 0)]);
        Disk {
            contents: vec![Content { durable, pending: Vec::new() }],
            durable_names: names.clone(),
            names,
            entries: Vec::new(),
            syncs: Vec::new(),
        }
    }

    /// The step with this number begins.
    pub fn begin(&mut self, number: usize, step: &Step) {
        match &step.what {
            What::Created { file } if !self.names.contains_key(file) && file != "." => {
                let content = self.contents.len();
                self.contents.push(Content::default());
                self.names.insert(file.clone(), content);
                self.entries.push(Entry::Made { name: file.clone(), content });
            }
            What::Unlinked { file } => {
                self.names.remove(file);
                self.entries.push(Entry::Gone { name: file.clone() });
            }
            What::Written { file, offset, bytes } => {
                let change = Change::Bytes { offset: *offset, bytes: bytes.clone() };
                self.of(file).pending.push((number, false, change));
            }
            What::Truncated { file, length } => {
                self.of(file).pending.push((number, false, Change::Length(*length)));
            }
            What::Synced { file } if file == "." => {
                self.syncs.push((number, None, Vec::new(), self.entries.len()));
            }
            What::Synced { file } => {
                let ended = self.of(file).pending.iter().filter(|(_, ended, _)| *ended);
                let covered = ended.map(|(number, ..)| *number).collect();
                self.syncs.push((number, Some(self.names[file]), covered, 0));
            }
            _ => {}
        }
    }

    /// The step with this number has ended.
    pub fn end(&mut self, number: usize) {
        for content in &mut self.contents {
            for (_, ended, _) in content.pending.iter_mut().filter(|(step, ..)| *step == number) {
                *ended = true;
            }
        }
        let Some(at) = self.syncs.iter().position(|(step, ..)| *step == number) else { return };
        let (_, content, covered, entries) = self.syncs.swap_remove(at);
        let Some(content) = content else {
            let kept = self.entries.split_off(entries.min(self.entries.len()));
            for entry in std::mem::replace(&mut self.entries, kept) {
                apply(&mut self.durable_names, &entry);
            }
            // A sync of the folder that began earlier covers nothing more.
            self.syncs.retain(|(_, content, ..)| content.is_some());
            return;
        };
        let Content { durable, pending } = &mut self.contents[content];
        pending.retain(|(step, _, change)| {
            let synced = covered.contains(step);
            if synced {
                change.apply(durable);
            }
            !synced
        });
    }

    fn of(&mut self, file: &str) -> &mut Content {
        let at = self.names[file];
        &mut self.contents[at]
    }

    /// How many writes are not synced now.
    pub fn pending(&self) -> usize {
        self.contents.iter().map(|content| content.pending.len()).sum()
    }

    /// Writes the files into a folder as the disk could have kept them at this moment.
    pub fn power_loss(&self, fate: Fate, folder: &Path) {
        let mut names = self.durable_names.clone();
        let known = match fate {
            Fate::Lost => 0,
            Fate::Kept => self.entries.len(),
            _ => fastrand::usize(0..=self.entries.len()),
        };
        self.entries[..known].iter().for_each(|entry| apply(&mut names, entry));
        for (name, content) in names {
            let Content { durable, pending } = &self.contents[content];
            let mut bytes = durable.clone();
            let first = fastrand::usize(0..=pending.len());
            for (at, (_, _, change)) in pending.iter().enumerate() {
                match fate {
                    Fate::Lost => {}
                    Fate::Kept => change.apply(&mut bytes),
                    Fate::Prefix if at >= first => {}
                    Fate::Some if fastrand::bool() => {}
                    Fate::Prefix | Fate::Some => change.apply(&mut bytes),
                    Fate::Torn | Fate::Garbage => change.tear(fate, &mut bytes),
                }
            }
            std::fs::write(folder.join(name), bytes).expect("a file as the disk kept it");
        }
    }
}

fn apply(names: &mut BTreeMap<String, usize>, entry: &Entry) {
    match entry {
        Entry::Made { name, content } => names.insert(name.clone(), *content),
        Entry::Gone { name } => names.remove(name),
    };
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Length(length) => file.resize(*length, 0),
            Change::Bytes { offset, bytes } => {
                let end = offset + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    fn tear(&self, fate: Fate, file: &mut Vec<u8>) {
        let Change::Bytes { offset, bytes } = self else {
            if fastrand::bool() {
                self.apply(file);
            }
            return;
        };
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
            let mut sector = bytes[at..end].to_vec();
            let there = fastrand::bool();
            let garbage = fate == Fate::Garbage && !there && fastrand::u32(0..4) == 0;
            if garbage {
                fastrand::fill(&mut sector);
            }
            if there || garbage {
                Change::Bytes { offset: offset + at, bytes: sector }.apply(file);
            }
            at = end;
        }
    }
}
