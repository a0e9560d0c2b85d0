//! The roles that a database can tell apart, and what each may do with the outbox.

/// What somebody is to the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Inserts, cancels and retries jobs, and reads their status.
    Producer,
    /// Reads the status of jobs, but no messages.
    Reader,
    /// Everything that the commands do, apart from `init` and `run`.
    Operator,
    /// Runs the daemon.
    Node,
}

/// A role by its name in the database, with its duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub duty: Duty,
}

/// Which jobs a producer may see and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of them, but no message.
    Everything,
    /// Those whose `source` is the role's name, with their messages.
    OwnSource,
}
