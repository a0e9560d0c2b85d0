//! `nodes`: the dispatchers that work on the outbox.

use super::{GlobalFlags, output};
use crate::desk::status_json::NodeJson;
use crate::desk::vocabulary;
use crate::queue::node::Nodes;
use anyhow::Result;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox nodes
  acquire-outbox nodes --all --json

On PostgreSQL any number of nodes work at once. A node whose lease has run out
sends nothing; once its last request is certain to have ended, another node
decides what happens to the jobs that it was sending. A SQLite file has one
dispatcher at a time; standbys are not listed.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NodesArgs {
    /// Also list nodes that have ended, as far back as they are known
    #[arg(long)]
    all: bool,
    /// A JSON array
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &GlobalFlags, args: NodesArgs) -> Result<ExitCode> {
    let nodes = settings.open().await?.nodes(args.all).await?;
    if args.json {
        let shown: Vec<_> = nodes.nodes.iter().map(NodeJson::from).collect();
        output::json(&shown)?;
    } else if nodes.nodes.is_empty() && output::to_people() {
        output::note("no node is running; start one with `acquire-outbox run`");
    } else {
        table(&nodes).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(nodes: &Nodes) -> output::Table {
    let header =
        ["epoch", "node", "version", "standing", "since", "lease until", "sending", "accounts"];
    let mut table = output::Table::new(header);
    for node in &nodes.nodes {
        let when = |at| output::when(&output::iso(at), nodes.now);
        table.row([
            node.epoch.to_string(),
            node.name.clone(),
            node.version.clone(),
            vocabulary::node(node),
            when(node.since),
            node.lease_until.map(when).unwrap_or_default(),
            node.sending.to_string(),
            node.accounts.as_deref().unwrap_or_default().join(", "),
        ]);
    }
    table
}
