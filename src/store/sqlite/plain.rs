//! A producer's own SQL, for the demo: what any program would execute on the file.

use super::{Store, StoreError};
use sqlx::AssertSqlSafe;

impl Store {
    /// Executes `sql` as it stands; several statements are several transactions.
    pub async fn plain_sql(&mut self, sql: &str) -> Result<(), StoreError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await?;
        Ok(())
    }
}
