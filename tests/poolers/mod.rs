//! Through a real pgbouncer: producers, commands and nodes, in transaction mode, where no session is kept,
//! and in session mode.

mod commands;
mod nodes;
mod producers;

use crate::support::{Cluster, KEY, Pgbouncer, PostgresDatabase, Program, Server};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

const MODES: [&str; 2] = ["transaction", "session"];

/// An outbox in the schema `messaging`, and a pooler in front of its database.
struct Place {
    folder: TempDir,
    /// Without the pooler.
    database: PostgresDatabase,
    pooler: Pgbouncer,
}

impl Place {
    /// None, and a line that says so, where there is no PostgreSQL or no pgbouncer.
    #[track_caller]
    fn behind(mode: &str) -> Option<Place> {
        let cluster = Cluster::shared()?;
        // Few sessions, so that they are shared.
        let pooler = Pgbouncer::before(cluster, mode, &["postgres"], &["default_pool_size = 12"])?;
        let folder = TempDir::new().expect("a temporary folder");
        let place = Place { folder, database: cluster.database(), pooler };
        let init = place.program(place.database.url());
        init.run(&["init"]).expect(0);
        Some(place)
    }

    fn program(&self, url: &str) -> Program {
        let program = Program::in_folder(self.folder.path());
        program.env("ACQUIRE_OUTBOX_DATABASE", url).env("ACQUIRE_OUTBOX_SCHEMA", "messaging")
    }

    /// Without the pooler.
    fn outbox(&self) -> PostgresDatabase {
        self.database.in_schema("messaging")
    }

    fn pooled(&self) -> PostgresDatabase {
        self.pooler.way_to(&self.database)
    }

    /// The program behind the pooler, with an account at the server.
    fn configured(&self, server: &Server) -> Program {
        let key = self.folder.path().join("key");
        fs::write(&key, KEY).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let config = format!(
            "[accounts.default]\naccount_id = \"acme\"\napi_key_file = \"key\"\nbase_url = {:?}\n\
             [retry]\ninitial = \"20ms\"\nmax = \"100ms\"\n",
            server.base_url()
        );
        let file = self.folder.path().join("outbox.toml");
        fs::write(&file, config).unwrap();
        self.program(self.pooled().url()).env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap())
    }
}

/// As a producer writes it, with the schema's name.
fn chat(case: i64) -> String {
    let payload = json!({"caseId": case, "message": format!("words {case}")});
    format!("INSERT INTO messaging.outbox (channel, payload) VALUES ('chat', '{payload}')")
}
