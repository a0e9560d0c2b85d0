//! acquire-outbox

pub mod job;
pub mod outcome;
pub mod payload;
pub mod retry;
pub mod config;
pub mod transition;
pub mod acquire;
pub mod store;
pub mod routes;
pub mod send;
pub mod wake;
pub mod lock;
pub mod dispatcher;
pub mod daemon;
pub mod sandbox;
