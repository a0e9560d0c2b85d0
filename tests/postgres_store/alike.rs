//! The same jobs, changes and questions on both engines: the answers are the same.

use super::{Database, Store, fresh, init};
use acquire_outbox::queue::change::{Change, Mode, Resolution};
use acquire_outbox::queue::filter::{Filter, Page, SortBy};
use acquire_outbox::queue::job::{Channel, Failure, Status};
use acquire_outbox::queue::overview::CensusRow;
use acquire_outbox::queue::story::{Delivery, Extent};
use acquire_outbox::queue::transfer::{Export, NewRow};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::ALL;
use serde_json::{Value, json};

const JOBS: i64 = 120;

/// A row of each kind that may be inserted; the case decides.
fn row(n: i64) -> NewRow {
    let (channel, payload) = match n % 5 {
        0 => (
            "sms",
            json!({"From": "+1", "To": "+2", "Body": "b", "contactId": 1, "threadId": n % 9, "timelineId": 1}),
        ),
        1 => (
            "mail",
            json!({"caseId": n % 7, "contactId": 2, "from": "a@b", "to": "c@d", "subject": "s", "textBody": "t"}),
        ),
        _ => ("chat", json!({"caseId": n % 7, "message": "hello"})),
    };
    let account = if n % 3 == 0 { "shop" } else { "default" };
    let day = 86_400_000;
    let row = json!({
        "channel": channel, "payload": payload.to_string(), "account": account,
        "idempotency_key": (n % 2 == 0).then(|| format!("key {n}")), "source": (n % 4 == 0).then_some("orders"),
        "ordering_key": match n % 6 { 0 => Some(""), 1 => Some("k"), _ => None }, "priority": (n % 10).to_string(),
        "send_at": (n % 11 == 0).then(|| now() + n * day), "max_attempts": (n % 8 == 0).then_some(3),
        "expires_at": (n % 13 == 0).then_some("2099-01-01T00:00:00+02:00"),
    });
    let Value::Object(row) = row else { panic!("it is an object") };
    row.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// The same history, by what an operator and any program may do.
async fn filled(store: &mut Store) {
    let rows: Vec<_> = (1..=JOBS).map(row).collect();
    assert_eq!(store.import(&rows, Mode::Apply).await.unwrap(), JOBS.unsigned_abs());
    let of = |remainder: i64| (1..=JOBS).filter(move |id| id % 12 == remainder).collect::<Vec<_>>();
    store.change(Change::Cancel, &of(3), Mode::Apply).await.unwrap();
    for (remainder, code) in [(5, "x"), (7, "y")] {
        let ids = of(remainder).iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let fail = format!(
            "UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = '{code}',
             error = 'No such Thing' WHERE id IN ({ids})"
        );
        store.execute_sql(&fail).await.unwrap();
    }
    store.change(Change::Retry, &of(5)[..3], Mode::Apply).await.unwrap();
    store.pause(None, None, "restored", None).await.unwrap();
    let resolved = store.resolve_restored(now() - 3_600_000).await.unwrap();
    assert_eq!(resolved, 0, "nothing was due an hour ago");
    store.resume(None, None).await.unwrap();
}

/// Without what depends on the moment.
fn timeless(mut jobs: Vec<Delivery>) -> Vec<Delivery> {
    for job in &mut jobs {
        job.created_at = String::new();
        job.send_at = job.send_at.take().map(|_| String::new());
        job.finished_at = job.finished_at.take().map(|_| String::new());
    }
    jobs
}

fn filters() -> Vec<Filter> {
    let all = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let mut filters = vec![
        all(),
        Filter { channel: Some(Channel::Sms), ..all() },
        Filter { account: text("shop"), source: text("orders"), ..all() },
        Filter { failure: Some(Failure::Invalid), ..all() },
        Filter { failure: Some(Failure::Expired), ..all() },
        Filter { error_code: text("x"), ..all() },
        Filter { error: text("sucH tHing"), ..all() },
        Filter { case: text("4"), ..all() },
        Filter { case: text("4'; --\0"), ..all() },
        Filter { idempotency_key: text("key 4"), ..all() },
        Filter { created_before: Some(1), ..all() },
        Filter { created_since: Some(1), up_to_id: Some(40), ..all() },
        Filter { finished_before: Some(now() + 60_000), ..all() },
        Filter { finished_before: Some(i64::MAX), created_since: Some(i64::MIN), ..all() },
    ];
    for status in Status::ALL {
        filters.push(Filter { statuses: vec![status], ..all() });
        let statuses = vec![Status::Pending, status];
        filters.push(Filter { statuses, channel: Some(Channel::Chat), ..all() });
    }
    filters
}

#[tokio::test]
async fn both_engines_answer_alike() {
    let Some((database, _)) = fresh().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = Database::from(folder.path().join("outbox.db"));
    let (mut on_sqlite, _) = init(&file).await;
    let (mut on_postgres, _) = init(&database).await;
    filled(&mut on_sqlite).await;
    filled(&mut on_postgres).await;
    for filter in filters() {
        let counts =
            (on_sqlite.count(&filter).await.unwrap(), on_postgres.count(&filter).await.unwrap());
        assert_eq!(counts.0, counts.1, "{filter:?}");
        for (after, limit) in [(i64::MIN, ALL), (0, 7), (50, ALL)] {
            let ids = on_postgres.ids(&filter, after, limit).await.unwrap();
            assert_eq!(on_sqlite.ids(&filter, after, limit).await.unwrap(), ids, "{filter:?}");
        }
        for sort in SortBy::ALL {
            // Their times are of different moments.
            if matches!(sort, SortBy::Created | SortBy::Updated | SortBy::Finished) {
                continue;
            }
            for (ascending, limit, offset) in [(true, 1000, 0), (false, 5, 3)] {
                let page = Page { sort, ascending, limit, offset };
                let listed = on_postgres.deliveries(&filter, &page).await.unwrap();
                let expected = on_sqlite.deliveries(&filter, &page).await.unwrap();
                assert_eq!(timeless(listed), timeless(expected), "{filter:?} {page:?}");
            }
        }
        let export = Export { filter, with_payload: false };
        let page = on_postgres.export_page(&export, 3, JOBS - 3, 20).await.unwrap();
        let expected = on_sqlite.export_page(&export, 3, JOBS - 3, 20).await.unwrap();
        let deliveries = |page: Vec<_>| {
            timeless(
                page.into_iter()
                    .map(|job: acquire_outbox::queue::transfer::ExportedJob| job.delivery)
                    .collect(),
            )
        };
        assert_eq!(deliveries(page), deliveries(expected));
    }
    same_state(&mut on_sqlite, &mut on_postgres).await;
    same_stories(&mut on_sqlite, &mut on_postgres).await;
    same_refusals(&mut on_sqlite, &mut on_postgres).await;
}

async fn same_state(on_sqlite: &mut Store, on_postgres: &mut Store) {
    let rows = |mut rows: Vec<CensusRow>| {
        rows.sort_by(|a, b| {
            (&a.channel, &a.status, &a.wait).cmp(&(&b.channel, &b.status, &b.wait))
        });
        rows.into_iter().map(|r| (r.channel, r.status, r.wait, r.count)).collect::<Vec<_>>()
    };
    let census = rows(on_postgres.census().await.unwrap().0);
    assert_eq!(rows(on_sqlite.census().await.unwrap().0), census);
    let (a, b) =
        (on_sqlite.overview(now()).await.unwrap(), on_postgres.overview(now()).await.unwrap());
    assert_eq!(a.counts, b.counts);
    assert_eq!(a.throughput, b.throughput);
    assert_eq!(
        a.oldest_due_of.keys().collect::<Vec<_>>(),
        b.oldest_due_of.keys().collect::<Vec<_>>()
    );
    assert_eq!((a.untouched, a.set_aside, a.flaws), (b.untouched, b.set_aside, b.flaws));
    let groups = |groups: Vec<acquire_outbox::queue::overview::FailureGroup>| {
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|g| (g.status, g.channels.len(), g.error_code, g.error, g.count))
            .collect();
        groups.sort();
        groups
    };
    let failures = groups(on_postgres.failures(10).await.unwrap());
    assert_eq!(groups(on_sqlite.failures(10).await.unwrap()), failures);
}

async fn same_stories(on_sqlite: &mut Store, on_postgres: &mut Store) {
    for id in 1..=JOBS {
        let a = on_sqlite.story(id, Extent::ALL).await.unwrap().unwrap();
        let b = on_postgres.story(id, Extent::ALL).await.unwrap().unwrap();
        assert_eq!(
            (a.job.wait, a.job.priority, a.job.ordering_key),
            (b.job.wait, b.job.priority, b.job.ordering_key),
            "job {id}"
        );
        assert_eq!(
            a.ahead.map(|ahead| (ahead.holder, ahead.jobs)),
            b.ahead.map(|ahead| (ahead.holder, ahead.jobs)),
            "job {id}"
        );
        assert_eq!(
            (a.job.max_attempts, a.job.expires),
            (b.job.max_attempts, b.job.expires),
            "job {id}"
        );
        let (a, b) = (
            on_sqlite.position(id, now()).await.unwrap(),
            on_postgres.position(id, now()).await.unwrap(),
        );
        assert_eq!(a, b, "job {id}");
    }
}

/// What cannot be done, in the same words.
async fn same_refusals(on_sqlite: &mut Store, on_postgres: &mut Store) {
    let ids: Vec<i64> = (0..=JOBS + 1).rev().collect();
    let changes = [
        Change::Prune,
        Change::Resolve(Resolution::Sent),
        Change::Resolve(Resolution::Failed),
        Change::Retry,
        Change::Cancel,
    ];
    for change in changes {
        let a = on_sqlite.change(change, &ids, Mode::Rehearse).await.unwrap();
        assert_eq!(
            a,
            on_postgres.change(change, &ids, Mode::Rehearse).await.unwrap(),
            "{change:?}"
        );
        assert!(!a.is_empty());
    }
    let filter = Filter { channel: Some(Channel::Chat), ..Filter::default() };
    let cancelled = on_postgres.change_where(Change::Cancel, &filter, &ids).await.unwrap();
    assert_eq!(on_sqlite.change_where(Change::Cancel, &filter, &ids).await.unwrap(), cancelled);
    assert!(cancelled > 10);
    let wrong = [
        json!({"channel": "fax"}),
        json!({"payload": "{"}),
        json!({"payload": "[]"}),
        json!({"payload": "{\"caseId\": 1.5, \"message\": \"hi\"}"}),
        json!({"payload": "{\"caseId\": 1, \"message\": \"hi\"}\u{0}"}),
        json!({"priority": "high"}),
        json!({"priority": 10}),
        json!({"max_attempts": 1.5}),
        json!({"max_attempts": 0}),
        json!({"send_at": 1_763_800_000}),
        json!({"account": ""}),
        json!({"account": "Müller"}),
        json!({"account": "a\u{0}"}),
        json!({"idempotency_key": 1.5}),
        json!({"idempotency_key": ""}),
        json!({"source": "a\u{0}"}),
        json!({"ordering_key": "17.0"}),
    ];
    for wrong in wrong {
        let mut row = row(2);
        row.remove("idempotency_key");
        row.extend(wrong.as_object().unwrap().clone());
        let a = on_sqlite.import(&[row.clone()], Mode::Apply).await.unwrap_err();
        let b = on_postgres.import(&[row], Mode::Apply).await.unwrap_err();
        assert_eq!(a, b, "{wrong}");
        assert!(b.rule().is_some(), "{b:?}");
    }
}
