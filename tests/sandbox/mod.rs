//! The stand-in for Acquire, spoken to over a real socket.

mod answers;
mod client;
mod demands;
mod faults;
mod mark;
mod reading;
