//! Power loss at any moment: the file operations of a real session are recorded, cut at many
//! points, and the files rebuilt as a disk could have kept them. `ACQUIRE_OUTBOX_SOAK=n` makes n
//! times as many: `ACQUIRE_OUTBOX_SOAK=50 cargo test --release --test all power_loss:: -- --include-ignored --nocapture`.

mod disk;
mod recorder;

use crate::support::{Database, Outbox, Reply, Request, Server, Setup};
use disk::{Disk, Fate};
use recorder::{Step, What};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

const HOLD: &str = "[channels.chat]\non_uncertain = \"hold\"";
const JOBS: usize = 60;
/// Cuts at random lines beside those at each request, with the rebuilt files of each.
const CUTS: usize = 60;
/// Rebuilt outboxes on which the daemon goes on to the end.
const GO_ON: usize = 6;

fn soak() -> usize {
    std::env::var("ACQUIRE_OUTBOX_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// The words without the padding: `job-17`.
fn words(request: &Request) -> String {
    request.words().splitn(3, '-').take(2).collect::<Vec<_>>().join("-")
}

/// The first request of every ninth job is turned away.
fn turned_away(words: &str) -> bool {
    words["job-".len()..].parse::<usize>().expect("a number") % 9 == 0
}

/// What was true in the world when the power went.
#[derive(Default)]
struct World {
    committed: BTreeSet<i64>,
    /// How often each message had begun to leave.
    sent: BTreeMap<String, i64>,
}

impl World {
    fn see(&mut self, what: &What) {
        match what {
            What::Committed { id } => drop(self.committed.insert(*id)),
            What::Sent { words } => *self.sent.entry(words.clone()).or_default() += 1,
            _ => {}
        }
    }

    /// Whether the server may have accepted it.
    fn accepted(&self, words: &str) -> bool {
        self.sent.get(words).is_some_and(|&times| times > i64::from(turned_away(words)))
    }

    fn check(&self, database: &Database) {
        assert_eq!(database.one("PRAGMA integrity_check")["integrity_check"], "ok");
        let rows = database.query(
            "SELECT id, status, attempts, substr(payload ->> 'message', 1, 10) AS words FROM outbox",
        );
        let ids: BTreeSet<i64> = rows.iter().map(|row| row.int("id")).collect();
        assert!(self.committed.is_subset(&ids), "lost: {:?}", self.committed.difference(&ids));
        let mut seen = 0;
        for row in rows {
            let words = row.text("words").splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
            let sent = self.sent.get(&words).copied().unwrap_or(0);
            seen += usize::from(sent > 0);
            assert!(row.int("attempts") >= sent, "{sent} requests of {row:?}");
            match row.text("status") {
                "pending" => assert!(!self.accepted(&words), "accepted, and {row:?}"),
                "sending" => {}
                "sent" => assert!(self.accepted(&words), "nobody accepted {row:?}"),
                _ => panic!("{row:?}"),
            }
        }
        assert_eq!(seen, self.sent.len(), "a message that was sent is not in the table");
    }

    /// The daemon goes on from there: nothing that was accepted is sent again, nothing is lost.
    fn go_on(&self, files: &Path) {
        let server = Server::start();
        let outbox = Setup::sending_to(&server.base_url()).more(HOLD).written();
        for file in files.read_dir().unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), outbox.folder().join(file.file_name())).unwrap();
        }
        outbox.run_until_empty();
        let again: Vec<String> = server.requests().iter().map(words).collect();
        assert!(!again.iter().any(|words| self.accepted(words)), "sent twice, of {again:?}");
        assert_eq!(again.iter().collect::<BTreeSet<_>>().len(), again.len(), "{again:?}");
        let left =
            outbox.query("SELECT status FROM outbox WHERE status NOT IN ('sent', 'uncertain')");
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Where to cut: after which line, and how the files are then rebuilt.
fn cuts(steps: &[Step]) -> Vec<(usize, Vec<Fate>)> {
    let last = steps.iter().map(|step| step.begin).max().expect("steps");
    let sends = steps.iter().filter(|step| matches!(step.what, What::Sent { .. }));
    // As a request leaves, all that was not synced by then is lost: its claim must be there.
    let mut cuts: Vec<_> = sends.map(|step| (step.begin, vec![Fate::Lost])).collect();
    let busy = |what: &What| matches!(what, What::Written { .. } | What::Synced { .. });
    let busy: Vec<&Step> = steps.iter().filter(|step| busy(&step.what)).collect();
    for _ in 0..CUTS * soak() {
        let mut fates = vec![Fate::Lost];
        fates.extend((0..3).map(|_| fastrand::choice(Fate::ALL).expect("fates")));
        // Between two writes, as a sync begins or ends, or at any line.
        let line = match fastrand::choice(&busy) {
            Some(step) if fastrand::u32(0..4) > 0 => step.begin,
            _ => fastrand::usize(0..=last),
        };
        cuts.push((line, fates));
    }
    cuts.sort_by_key(|(line, _)| *line);
    cuts
}

#[test]
#[ignore = "heavy: power losses by the hundred"]
fn after_a_power_loss_nothing_accepted_is_pending_and_nothing_committed_is_gone() {
    if !crate::support::can_trace() {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let away: Mutex<BTreeSet<String>> = Mutex::default();
    let server = Server::answering(move |request| {
        let words = words(request);
        let away = turned_away(&words) && away.lock().unwrap().insert(words);
        if away { Reply::status(503) } else { Reply::accepted(request) }
    });
    let outbox = Outbox::setup(&server).more(HOLD).ready();
    let mut disk = Disk::with("outbox.db", std::fs::read(outbox.database().path()).unwrap());
    let requests = JOBS + JOBS / 9;
    let steps = recorder::record(&outbox, &server, JOBS, requests);
    let recorded = steps.iter().filter(|step| matches!(step.what, What::Sent { .. })).count();
    assert_eq!(recorded, requests, "the recorder sees every request");
    fastrand::seed(seed);

    let cuts = cuts(&steps);
    let (mut world, mut next, mut running) = (World::default(), 0, Vec::new());
    let (mut rebuilt, mut unsynced, mut went_on) = (0, 0, 0);
    let every = (cuts.len() / (GO_ON * soak())).max(1);
    for (place, (line, fates)) in cuts.iter().enumerate() {
        loop {
            let begins = steps.get(next).map_or(usize::MAX, |step| step.begin);
            let ends = running.iter().map(|&at: &usize| (steps[at].end, at)).min();
            match ends {
                Some((end, at)) if end < begins && end <= *line => {
                    disk.end(at);
                    running.retain(|&other| other != at);
                    // A producer knows of its commit from here on.
                    if matches!(steps[at].what, What::Committed { .. }) {
                        world.see(&steps[at].what);
                    }
                }
                _ if begins <= *line => {
                    disk.begin(next, &steps[next]);
                    if matches!(steps[next].what, What::Sent { .. }) {
                        world.see(&steps[next].what);
                    }
                    running.push(next);
                    next += 1;
                }
                _ => break,
            }
        }
        unsynced += usize::from(disk.pending() > 0);
        for fate in fates {
            let folder = scratch();
            disk.power_loss(*fate, folder.path());
            let goes_on = (place % every == 0 && fate == &fates[fates.len() - 1])
                .then(|| copy_of(folder.path()));
            world.check(&Database::at(folder.path().join("outbox.db")));
            rebuilt += 1;
            if let Some(copy) = goes_on {
                world.go_on(copy.path());
                went_on += 1;
            }
        }
    }
    let checkpointed =
        |step: &&Step| matches!(&step.what, What::Written { file, .. } if file == "outbox.db");
    let checkpointed: Vec<_> = steps.iter().filter(checkpointed).map(|step| step.begin).collect();
    let sent = steps.iter().filter(|step| matches!(step.what, What::Sent { .. }));
    let last_sent = sent.map(|step| step.begin).max();
    assert!(checkpointed.first().copied() < last_sent, "no checkpoint in the middle");
    let checkpointed = checkpointed.len();
    println!(
        "power loss: {} file operations and requests recorded, {checkpointed} of them pages of a checkpoint, cut at {} points ({unsynced} with \
        unsynced writes), {rebuilt} outboxes rebuilt, the daemon went on from {went_on}",
        steps.len(),
        cuts.len()
    );
}

/// In memory where there is such a folder: the rebuilt files need no real disk.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary folder")
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = scratch();
    for file in folder.read_dir().unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}
