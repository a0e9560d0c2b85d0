//! The migrations that are compiled in.
//!
//! sqlx's macro would read them from their folder, but its crate needs sqlx and SQLite compiled a second time, for the
//! compiler's own use: a third of the build.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Not sqlx's own table: an application's migrations may live in the same database.
pub(super) const TABLE: &str = "outbox_migrations";

/// A migration's version, its name and its SQL.
pub(super) type MigrationText = (i64, &'static str, &'static str);

/// The migrations of one engine, in the order of their versions.
pub(super) fn of(written: &[MigrationText]) -> Migrator {
    let each = written.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(each.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

#[cfg(test)]
mod tests {
    use crate::store::{postgres, sqlite};

    #[test]
    fn every_file_is_compiled_in_under_its_own_name() {
        let engines =
            [("sqlite", &sqlite::MIGRATIONS[..]), ("postgres", &postgres::MIGRATIONS[..])];
        for (engine, written) in engines {
            let files = std::fs::read_dir(format!("migrations/{engine}")).unwrap();
            let mut files: Vec<_> =
                files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            let names: Vec<_> = written
                .iter()
                .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
                .collect();
            assert_eq!(names, files, "{engine}");
        }
    }
}
