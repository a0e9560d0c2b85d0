//! `grants`: the rights of roles that do not own the outbox.

use super::{GlobalFlags, WrongUsage, output};
use crate::config;
use crate::queue::role::{Duty, Reach, Role};
use crate::store::Store;
use anyhow::Result;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox grants --producer shop --reader bi --operator ops
  acquire-outbox grants --node outbox --producer shop --by-source | psql ...

The command prints SQL and changes nothing; the owner of the outbox executes
it. A producer can insert, cancel and retry jobs and read their status, but
cannot read messages or write the dispatcher's columns. With --by-source it
can read and rewrite messages, but only those whose `source` is its own name
(row-level security, from PostgreSQL 15 on).";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct GrantsArgs {
    /// A role that inserts jobs; may be repeated, like the others
    #[arg(long, value_name = "ROLE")]
    producer: Vec<String>,
    /// A role that reads the status of jobs, but no messages
    #[arg(long, value_name = "ROLE")]
    reader: Vec<String>,
    /// A role that uses the commands: list, show, retry, cancel, pause, import, export ...
    #[arg(long, value_name = "ROLE")]
    operator: Vec<String>,
    /// A role that runs the daemon without owning the outbox
    #[arg(long, value_name = "ROLE")]
    node: Vec<String>,
    /// Let each producer see and change only jobs whose `source` is its own name
    #[arg(long)]
    by_source: bool,
}

pub async fn run(settings: &GlobalFlags, args: GrantsArgs) -> Result<ExitCode> {
    let roles: Vec<Role> = [
        (Duty::Node, args.node),
        (Duty::Producer, args.producer),
        (Duty::Reader, args.reader),
        (Duty::Operator, args.operator),
    ]
    .into_iter()
    .flat_map(|(duty, names)| names.into_iter().map(move |name| Role { name, duty }))
    .collect();
    if roles.is_empty() {
        let problem = "name a role: --producer, --reader, --operator or --node";
        return Err(WrongUsage(problem.to_owned()).into());
    }
    if let Some(role) = roles.iter().find(|role| role.name.is_empty() || role.name.contains('\0')) {
        return Err(WrongUsage(format!("{:?} is not the name of a role", role.name)).into());
    }
    let reach = if args.by_source { Reach::OwnSource } else { Reach::Everything };
    let database = config::load_database(&settings.flags(), &|name| std::env::var_os(name))?;
    output::line(Store::grants(&database, &roles, reach)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
