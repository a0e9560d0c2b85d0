//! What the rows of the table "PostgreSQL" need: a cluster, nodes on it, producers, and the queues of other
//! projects.

pub mod cluster;
pub mod node;
pub mod peers;
pub mod producers;
pub mod tables;
