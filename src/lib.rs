//! acquire-outbox

pub mod acquire;
pub mod config;
pub mod job;
pub mod outcome;
pub mod payload;
pub mod retry;
pub mod sandbox;
pub mod transition;
