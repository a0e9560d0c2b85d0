//! What operators do: ask whether all is well, look at a job, retry, cancel, resolve, prune, pause and resume. The commands
//! and the pages read input and present results; what happens, and in which words, is decided here.

pub mod assessment;
pub mod changes;
pub mod checkup;
pub mod correcting;
pub mod explain;
pub mod export_rows;
pub mod finding;
pub mod inspect;
pub mod job_json;
pub mod message_form;
pub mod outbox_status;
pub mod pausing;
pub mod retention;
pub mod shares;
pub mod spreadsheet;
pub mod status_json;
pub mod vocabulary;
