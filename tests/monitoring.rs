//! What is shipped for Prometheus and Grafana: taken by Prometheus' own tool, and about metrics that
//! there are. `docs/monitoring.md` names all of them.

use crate::support::{Outbox, Scrape, Server, promtool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn dashboard() -> Value {
    serde_json::from_str(&text("packaging/grafana/acquire-outbox.json")).expect("JSON")
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().expect("panels").iter().collect()
}

/// The queries of the dashboard's panels, with Grafana's own variables given values.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).into_iter().filter_map(|panel| panel["targets"].as_array());
    let queries = targets.flatten().map(|target| target["expr"].as_str().expect("a query"));
    queries
        .map(|query| {
            query
                .replace("$__rate_interval", "5m")
                .replace("$__range", "6h")
                .replace("$job", ".*")
                .replace("$channel", ".*")
        })
        .collect()
}

fn scrape() -> Scrape {
    let server = Server::start();
    // Questions to Acquire are shown where they are asked.
    let asks = "[channels.chat]\non_uncertain = \"verify\"\nfollow_up = \"1h\"";
    let outbox = Outbox::setup(&server).more(asks).ready();
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    crate::support::found(crate::support::SOON, "the first turn", || {
        let scrape = daemon.scrape();
        scrape.value("acquire_outbox_last_turn_age_seconds").map(|_| scrape)
    })
}

/// The names of metrics in a text, this prefix alone included.
fn names(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c));
    words
        .filter(|w| w.starts_with("acquire_outbox_") || *w == "process_start_time_seconds")
        .collect()
}

#[test]
fn promtool_takes_the_alerts_and_their_tests() {
    let (alerts, tests) =
        (file("packaging/prometheus/alerts.yml"), file("packaging/prometheus/alerts_test.yml"));
    if let Some(said) = promtool(&["check", "rules", alerts.to_str().unwrap()], "") {
        assert!(said.contains("SUCCESS"), "{said}");
        promtool(&["test", "rules", tests.to_str().unwrap()], "");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do_and_is_tested_and_documented() {
    let (alerts, tests) =
        (text("packaging/prometheus/alerts.yml"), text("packaging/prometheus/alerts_test.yml"));
    let docs = text("docs/monitoring.md");
    let parts: Vec<_> = alerts.split("- alert: ").skip(1).collect();
    assert!(parts.len() >= 12, "{}", parts.len());
    for part in parts {
        let name = part.lines().next().expect("a name");
        for field in
            ["expr:", "for:", "severity:", "summary:", "description:", "action:", "runbook: docs/"]
        {
            assert!(part.contains(field), "{name} has no {field}");
        }
        assert!(tests.contains(name), "{name} has no test");
        assert!(docs.contains(name), "{name} is not in docs/monitoring.md");
    }
}

#[test]
fn the_runbooks_of_the_alerts_are_headings_that_there_are() {
    for link in
        text("packaging/prometheus/alerts.yml").lines().filter_map(|l| l.split_once("runbook: "))
    {
        let (page, anchor) = link.1.split_once('#').expect("a page and its heading");
        let page = text(page);
        let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
        let anchors = headings.map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.replace(|c: char| !c.is_alphanumeric() && c != '-', "")
        });
        assert!(anchors.into_iter().any(|there| there == anchor), "{}", link.1);
    }
}

#[test]
fn every_metric_of_the_alerts_and_the_dashboard_is_in_a_scrape() {
    let scrape = scrape();
    let there: BTreeSet<_> = scrape.names().into_iter().collect();
    let (alerts, dashboard) =
        (text("packaging/prometheus/alerts.yml"), queries(&dashboard()).join("\n"));
    for (place, text) in [("the alerts", &alerts), ("the dashboard", &dashboard)] {
        let named = names(text);
        assert!(named.len() > 5, "{named:?}");
        let missing: Vec<_> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{place}: {missing:?}");
    }
}

#[test]
fn the_documentation_names_exactly_the_metrics_that_there_are() {
    let (scrape, docs) = (scrape(), text("docs/monitoring.md"));
    let families =
        scrape.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let families: BTreeSet<_> = families.collect();
    let parts = ["_bucket", "_sum", "_count"];
    let named = names(&docs).into_iter().map(|name| {
        let family = parts.iter().find_map(|part| name.strip_suffix(part));
        family.filter(|family| families.contains(family)).unwrap_or(name)
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), families);
}

#[test]
fn promtool_takes_every_query_of_the_dashboard() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() >= 20, "{}", queries.len());
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (at, query) in queries.iter().enumerate() {
        let query = serde_json::to_string(query).unwrap();
        rules += &format!("      - record: dashboard:query_{at}\n        expr: {query}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    if let Some(said) = promtool(&["check", "rules", path.to_str().unwrap()], "") {
        assert!(said.contains(&format!("SUCCESS: {} rules found", queries.len())), "{said}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_import() {
    let dashboard = dashboard();
    for field in ["uid", "title", "schemaVersion", "templating", "time", "panels"] {
        assert!(!dashboard[field].is_null(), "{field}");
    }
    assert!(dashboard["id"].is_null() && dashboard["__inputs"].is_null(), "of no one Grafana");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "channel"]);
    let panels = panels(&dashboard);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each id once");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for place in (at("x")..at("x") + at("w"))
            .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert(place), "{title} lies over another");
        }
        if panel["type"] != "row" {
            assert!(
                panel["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{title}"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
