//! A producer's own SQL, for the demo: what any program would execute on the file.

use super::{SqliteError, SqliteStore};
use sqlx::AssertSqlSafe;

impl SqliteStore {
    /// Executes `sql` as it stands; several statements are several transactions.
    pub async fn plain_sql(&mut self, sql: &str) -> Result<(), SqliteError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await?;
        Ok(())
    }
}
