//! The page, and a shell that runs its blocks.

use crate::support::{Daemon, Database, Job, Outbox, Setup, skipped};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../docs/recipes.md");

/// The first shell block that has these words.
#[track_caller]
pub fn block(words: &str) -> &'static str {
    text("sh", words)
}

/// The first block of this language that has these words.
#[track_caller]
pub fn text(language: &str, words: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let mut blocks = PAGE.split(&fence).skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    blocks.find(|block| block.contains(words)).unwrap_or_else(|| panic!("no block with {words:?}"))
}

/// False, and a line that says so, where there is no `sqlite3`.
pub fn can_run() -> bool {
    let there = Command::new("sqlite3").arg("-version").output().is_ok();
    if !there {
        skipped("sqlite3 is not installed, the recipe was not run");
    }
    there
}

/// The page's folders and its database, inside the folder of an outbox's configuration.
pub struct Machine {
    pub outbox: Outbox,
    pub shop: Database,
}

impl Machine {
    /// Without a database yet.
    pub fn new(setup: Setup) -> Machine {
        let outbox = setup.written();
        let shop = Database::at(outbox.folder().join("var/lib/shop/shop.db"));
        let machine = Machine { outbox, shop };
        for folder in ["bin", "var/lib/shop", "var/backups", "etc"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        let program = machine.path("bin/acquire-outbox");
        symlink(env!("CARGO_BIN_EXE_acquire-outbox"), program).unwrap();
        machine
    }

    /// With one, made as the page says.
    #[track_caller]
    pub fn with_shop(setup: Setup) -> Machine {
        let machine = Machine::new(setup);
        machine.run(block("init --database /var/lib/shop/shop.db"));
        machine
    }

    /// The daemon on the page's database.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.outbox.program().start(&["run", "--database", self.file()]).ready()
    }

    /// As [`Machine::daemon`], with the dashboard.
    #[track_caller]
    pub fn listening(&self) -> Daemon {
        let run = ["run", "--database", self.file(), "--listen", "127.0.0.1:0"];
        self.outbox.program().start(&run).ready()
    }

    #[track_caller]
    pub fn run_until_empty(&self) {
        let run = ["run", "--until-empty", "--database", self.file()];
        self.outbox.run(&run).expect(0);
    }

    #[track_caller]
    pub fn chat(&self, case: i64, words: &str) -> i64 {
        self.shop.try_insert(&Job::chat(case, words).sql()).unwrap()
    }

    pub fn count(&self, status: &str) -> i64 {
        self.shop.number(&format!("SELECT count(*) FROM outbox WHERE status = '{status}'"))
    }

    fn file(&self) -> &str {
        self.shop.path().to_str().expect("a path in UTF-8")
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.outbox.folder().join(path.trim_start_matches('/'))
    }

    /// What stands on the page, with this machine's folders.
    pub fn here(&self, text: &str) -> String {
        let folder = self.outbox.folder().to_str().unwrap();
        ["/var/", "/etc/litestream"]
            .iter()
            .fold(text.to_owned(), |text, path| text.replace(path, &format!("{folder}{path}")))
    }

    /// Runs a block; each of its commands must succeed.
    #[track_caller]
    pub fn run(&self, block: &str) -> String {
        let output = self.try_run(block);
        assert!(output.status.success(), "{block}\n{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn try_run(&self, block: &str) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &self.here(block)]).current_dir(self.outbox.folder());
        shell.env("PATH", path).env("ACQUIRE_OUTBOX_CONFIG", self.outbox.config_file());
        shell.env("ACQUIRE_OUTBOX_DATABASE", self.file());
        shell.output().unwrap()
    }
}

#[test]
fn every_link_within_the_pages_leads_somewhere() {
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut tried = 0;
    for name in ["recipes.md", "producers.md"] {
        let page = fs::read_to_string(docs.join(name)).unwrap();
        for link in page.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = docs.join(if file.is_empty() { name } else { file });
            let target = fs::read_to_string(&target).unwrap_or_else(|e| panic!("{link}: {e}"));
            let headings = target.lines().filter_map(|line| line.strip_prefix("## ").map(slug));
            assert!(anchor.is_empty() || headings.into_iter().any(|h| h == anchor), "{link}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
}
