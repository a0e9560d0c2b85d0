//! The nodes on the front page, where the engine allows several.

use super::FrontPage;
use crate::desk::vocabulary;
use crate::queue::node::{Node, Standing};
use crate::web::display::{number, short, time};
use maud::{Markup, html};

/// Nothing on an engine that grants no leases: its one dispatcher is in the page's first line.
pub fn nodes(page: &FrontPage<'_>) -> Markup {
    let nodes = &page.nodes.nodes;
    html! {
        @if nodes.iter().any(|node| node.lease_until.is_some()) {
            section aria-labelledby="nodes" {
                h2 #nodes { "Nodes" }
                div .wide {
                    table .cards {
                        thead { tr {
                            th scope="col" { "node" } th scope="col" { "version" } th scope="col" { "standing" }
                            th scope="col" { "since" } th scope="col" .num { "sending" }
                        } }
                        tbody { @for node in nodes { (row(node, page)) } }
                    }
                }
            }
        }
    }
}

fn row(node: &Node, page: &FrontPage<'_>) -> Markup {
    let (class, sign) = match node.standing {
        Standing::Working => ("good", "●"),
        Standing::Overdue | Standing::Dead => ("bad", "▲"),
        Standing::Ended => ("busy", "◌"),
    };
    html! {
        tr {
            th scope="row" { (short(&node.name)) }
            td data-label="version" { (short(&node.version)) }
            td data-label="standing" {
                span .mark.(class) { (sign) " " (vocabulary::node(node)) }
            }
            td data-label="since" { (time(node.since, page.now)) }
            td .num data-label="sending" { (number(node.sending)) }
        }
    }
}
