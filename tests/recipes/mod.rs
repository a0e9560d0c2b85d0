//! docs/recipes.md stays true: its commands run as they stand, in folders of the test's own.

mod backup;
mod database;
mod outage;
mod page;
mod users;
