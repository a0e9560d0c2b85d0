//! The metrics of the verdict, and of accounts over all nodes.

use super::{Levels, Seconds};
use crate::desk::assessment::{Assessment, CODES, Condition};
use crate::metrics::{Metrics, RouteLabels};
use crate::queue::job::Channel;
use crate::queue::when::now;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// All accounts that are not configured.
const OTHER: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedLabels {
    account: String,
    channel: &'static str,
    status: &'static str,
}

/// What waits, and what ended, of each configured account; of all others together, as `other`.
pub fn accounts(registry: &mut Registry, levels: &Levels, metrics: &Metrics) {
    let names = metrics.accounts();
    let label = |account: &str, channel: &str| {
        let known = Channel::ALL.into_iter().find(|known| known.as_str() == channel)?;
        let account = names.iter().find(|name| *name == account).map_or(OTHER, String::as_str);
        Some(RouteLabels { account: account.to_owned(), channel: known.as_str() })
    };
    let (waiting, oldest) =
        (Family::<RouteLabels, Gauge>::default(), Family::<RouteLabels, Seconds>::default());
    let ended = Family::<EndedLabels, Gauge>::default();
    for account in &names {
        for channel in Channel::ALL {
            let labels = RouteLabels { account: account.clone(), channel: channel.as_str() };
            drop(waiting.get_or_create_owned(&labels));
            drop(oldest.get_or_create_owned(&labels));
        }
    }
    let now = now();
    for route in &levels.overview.backlogs {
        let Some(labels) = label(&route.account, &route.channel) else { continue };
        waiting.get_or_create(&labels).inc_by(i64::try_from(route.jobs).unwrap_or(i64::MAX));
        let age = route.oldest_due.map_or(0, |due| now.saturating_sub(due).max(0)) as f64 / 1000.0;
        let gauge = oldest.get_or_create_owned(&labels);
        gauge.set(gauge.get().max(age));
    }
    for row in &levels.day {
        let Some(RouteLabels { account, channel }) = label(&row.account, &row.channel) else {
            continue;
        };
        let counts = [
            ("sent", row.tally.sent),
            ("failed", row.tally.failed),
            ("uncertain", row.tally.uncertain),
        ];
        for (status, count) in counts {
            let labels = EndedLabels { account: account.clone(), channel, status };
            ended.get_or_create(&labels).inc_by(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    let help = "Jobs that wait to be sent, except scheduled ones, by account";
    registry.register("waiting_jobs", help, waiting);
    let help = "How long the account's oldest due job has been waiting; 0 if none is";
    registry.register_with_unit("account_oldest_due_age", help, Unit::Seconds, oldest);
    let help = "Jobs that ended in the last 24 hours, on every node";
    registry.register("ended_jobs_day", help, ended);
}

/// The verdict, and how many reasons of each kind it has.
pub fn verdict(registry: &mut Registry, assessment: &Assessment) {
    let is = Family::<VerdictLabel, Gauge>::default();
    for condition in Condition::ALL {
        let label = VerdictLabel { verdict: condition.as_str() };
        is.get_or_create(&label).set(i64::from(condition == assessment.condition));
    }
    registry.register("verdict", "1 for the current verdict: well, attention or down", is);
    let reasons = Family::<CodeLabel, Gauge>::default();
    for code in CODES {
        let count = assessment.concerns.iter().filter(|concern| concern.code == code).count();
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        reasons.get_or_create(&CodeLabel { code }).set(count);
    }
    registry.register(
        "verdict_reasons",
        "The number of reasons of this kind for the verdict",
        reasons,
    );
}
