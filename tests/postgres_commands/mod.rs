//! The program on a PostgreSQL server: how it connects, and the commands that only it has or that
//! differ there.

mod connecting;
mod daemon;
mod dump;
mod replication;
mod moving;
mod roles;
mod script;

use crate::support::{PostgresDatabase, Program};
use tempfile::TempDir;

/// A folder to run the program in, and its own database.
struct Place {
    folder: TempDir,
    database: PostgresDatabase,
}

impl Place {
    /// None, and a line that says so, where there is no PostgreSQL.
    #[track_caller]
    fn fresh() -> Option<Place> {
        let database = PostgresDatabase::fresh()?;
        Some(Place { folder: TempDir::new().expect("a temporary folder"), database })
    }

    /// The program, told the database by the environment.
    fn program(&self) -> Program {
        let program = Program::in_folder(self.folder.path());
        program.env("ACQUIRE_OUTBOX_DATABASE", self.database.url())
    }
}
