//! What operators do: look at a job, retry, cancel and resolve, pause and resume. The commands and
//! the pages present it.

pub mod explain;
