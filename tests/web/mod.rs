//! The dashboard from outside: who may see and do what, what the pages say, what they cannot cost.

mod access;
mod actions;
pub mod client;
mod colours;
mod large;
mod limits;
mod find;
mod listening;
mod many_jobs;
mod pages;
pub mod reverse_proxy;
