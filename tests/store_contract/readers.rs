//! Reading jobs, counts and the state of the whole outbox.

use super::{Outbox, accepted, chat, cycle, ended, room};
use acquire_outbox::config::Database;
use acquire_outbox::queue::change::{Change, Mode};
use acquire_outbox::queue::examination::Depth;
use acquire_outbox::queue::filter::{Filter, Page, SortBy};
use acquire_outbox::queue::job::{Channel, Job, Status};
use acquire_outbox::queue::new_job::{GivenTime, NewJob};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::story::Extent;
use acquire_outbox::queue::transfer::Export;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{ALL, Absence, Store, StoreError, Tenure};
use std::time::Duration;

pub async fn a_filter_gives_the_same_jobs_by_page_by_count_and_by_ids(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2, 3, 4]).await;
    let job = NewJob { source: Some("orders".to_owned()), account: "shop".to_owned(), ..chat(5) };
    let of_shop = outbox.store.insert(&job).await.unwrap().id();
    outbox.store.change(Change::Cancel, &ids[1..3], Mode::Apply).await.unwrap();
    let all = Filter::default;
    let cases = [
        (all(), vec![ids[0], ids[1], ids[2], ids[3], of_shop]),
        (Filter { statuses: vec![Status::Cancelled], ..all() }, vec![ids[1], ids[2]]),
        (Filter { account: Some("shop".to_owned()), ..all() }, vec![of_shop]),
        (Filter { source: Some("orders".to_owned()), ..all() }, vec![of_shop]),
        (Filter { case: Some("4".to_owned()), ..all() }, vec![ids[3]]),
        (Filter { channel: Some(Channel::Sms), ..all() }, vec![]),
        (Filter { up_to_id: Some(ids[1]), ..all() }, vec![ids[0], ids[1]]),
        (Filter { created_before: Some(1), ..all() }, vec![]),
        (Filter { finished_before: Some(now() + 60_000), ..all() }, vec![ids[1], ids[2]]),
    ];
    for (filter, expected) in cases {
        let page = Page { sort: SortBy::Id, ascending: true, limit: 100, offset: 0 };
        let listed = outbox.store.deliveries(&filter, &page).await.unwrap();
        assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), expected, "{filter:?}");
        let found = outbox.store.ids(&filter, i64::MIN, ALL).await.unwrap();
        assert_eq!(found, expected, "{filter:?}");
        let count = outbox.store.count(&filter).await.unwrap();
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
    let newest = outbox.store.deliveries(&all(), &Page::newest(2)).await.unwrap();
    assert_eq!(newest.iter().map(|job| job.id).collect::<Vec<_>>(), [of_shop, ids[3]]);
}

pub async fn ids_come_in_batches_and_all_at_once(mut outbox: Outbox) {
    let ids = outbox.insert(&[1; 5]).await;
    let all = Filter::default();
    let (mut batches, mut after) = (Vec::new(), i64::MIN);
    loop {
        let batch = outbox.store.ids(&all, after, 2).await.unwrap();
        let Some(&last) = batch.last() else { break };
        after = last;
        batches.push(batch);
    }
    assert_eq!(batches, [&ids[..2], &ids[2..4], &ids[4..]]);
    assert_eq!(outbox.store.ids(&all, ids[2], ALL).await.unwrap(), ids[3..]);
    assert_eq!(outbox.store.last_id().await.unwrap(), ids[4]);
}

pub async fn an_export_has_its_pages_in_order_and_payloads_only_when_asked(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2, 3]).await;
    let large = NewJob {
        payload: format!(r#"{{"caseId": 4, "message": "{}"}}"#, "x".repeat(20_000)),
        ..chat(4)
    };
    let large = outbox.store.insert(&large).await.unwrap().id();
    let export = Export { with_payload: true, ..Export::default() };
    let page = outbox.store.export_page(&export, ids[0], large, 2).await.unwrap();
    let seen: Vec<_> = page.iter().map(|job| (job.delivery.id, job.payload.is_some())).collect();
    assert_eq!(seen, [(ids[1], true), (ids[2], true)]);
    let page = outbox.store.export_page(&export, ids[2], large, 2).await.unwrap();
    assert_eq!((page[0].delivery.id, &page[0].payload), (large, &None), "it is read by itself");
    let payload = outbox.store.payload(large, ALL).await.unwrap().unwrap();
    assert!(payload.len() > 20_000);
    assert_eq!(outbox.store.payload(large, 9).await.unwrap().unwrap(), payload[..9]);
    let without = outbox.store.export_page(&Export::default(), 0, large, 9).await.unwrap();
    assert!(without.len() == 4 && without.iter().all(|job| job.payload.is_none()));
    assert!(outbox.store.export_page(&export, large, large, 9).await.unwrap().is_empty());
}

pub async fn the_overview_the_census_and_the_pulse_agree(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 1, 2]).await;
    let later = GivenTime::Millis(now() + 86_400_000);
    outbox.store.insert(&NewJob { send_at: Some(later), ..chat(3) }).await.unwrap();
    outbox.store.change(Change::Cancel, &ids[2..], Mode::Apply).await.unwrap();
    outbox.store.pause(None, Some(Channel::Sms), "why", None).await.unwrap();
    let overview = outbox.store.overview(now()).await.unwrap();
    let counts: Vec<_> = overview.counts.iter().map(|c| (c.status.as_str(), c.count)).collect();
    assert_eq!(counts, [("cancelled", 1), ("pending", 3)]);
    let census = outbox.store.census().await.unwrap();
    let waiting = |wait| census.of(Some(Channel::Chat), Some(Status::Pending), Some(wait));
    assert_eq!((waiting("ready"), waiting("parked"), waiting("scheduled")), (1, 1, 1));
    assert_eq!(census.of(None, None, None), 4);
    let pulse = outbox.store.pulse(now(), 10).await.unwrap();
    assert_eq!(pulse.oldest_due, overview.oldest_due);
    assert_eq!(pulse.pauses, overview.pauses);
    assert_eq!((pulse.pauses.len(), pulse.blocks.len(), pulse.set_aside.count), (1, 0, 0));
    assert!(overview.flaws.is_empty() && outbox.store.flaws().await.unwrap().is_empty());
    assert_eq!(outbox.store.failures(10).await.unwrap(), []);
}

pub async fn a_job_is_shown_with_what_goes_before_it(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 1, 1, 2]).await;
    let store = &mut outbox.store;
    let parked = store.story(ids[2], Extent::ALL).await.unwrap().unwrap();
    let ahead = parked.ahead.unwrap();
    assert_eq!((ahead.holder, ahead.jobs), (ids[0], 2));
    assert_eq!(parked.job.payload_fields, r#"["caseId","message"]"#);
    assert_eq!(store.story(ids[0], Extent::ALL).await.unwrap().unwrap().ahead, None);
    assert_eq!(store.story(99, Extent::ALL).await.unwrap(), None);
    assert_eq!(store.delivery(99).await.unwrap(), None);
    assert_eq!(store.position(ids[3], now()).await.unwrap().unwrap().ahead, 1);
    assert_eq!(store.position(ids[2], now()).await.unwrap(), None, "it is not ready");

    let mut tenure = outbox.take_over().await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room(1)), now()).await.claimed;
    cycle(&mut tenure, &[ended(&claimed[0], accepted(), now())], None, now()).await;
    let sent = outbox.store.story(ids[0], Extent::ALL).await.unwrap().unwrap();
    let delivery = &sent.job.delivery;
    assert_eq!((delivery.status.as_str(), delivery.attempts), ("sent", 1));
    assert_eq!(delivery.message_id.as_deref(), Some("8289"));
    assert_eq!((sent.attempts, sent.history[0].outcome.as_str()), (1, "accepted"));
}

pub async fn a_connection_to_read_writes_nothing_and_has_a_limit(mut outbox: Outbox) {
    outbox.insert(&[1, 2]).await;
    let mut reader = Store::open_to_read(&outbox.database).await.unwrap();
    assert!(reader.is_current());
    reader.limit(Duration::from_secs(60));
    assert_eq!(reader.count(&Filter::default()).await.unwrap(), 2);
    reader.pause(None, None, "", None).await.unwrap_err();
    reader.probe_write(Duration::from_secs(1)).await.unwrap();
    reader.pause(None, None, "", None).await.unwrap_err();
    assert_eq!(reader.database(), outbox.database);
    reader.close().await.unwrap();
}

pub async fn a_healthy_outbox_is_examined_as_such(mut outbox: Outbox) {
    outbox.insert(&[1]).await;
    for depth in [Depth::Quick, Depth::Full] {
        let healthy = Store::examine(&outbox.database, depth).await.verdict.unwrap();
        assert_eq!(healthy.set_aside, 0);
        assert!(healthy.schema >= 1);
    }
    assert_eq!(Store::storage(&outbox.database).bytes == 0, outbox.is_on_postgres());
    assert!(!Store::dispatcher_is_running(&outbox.database).await.unwrap());
    let tenure = outbox.take_over().await.unwrap();
    assert!(Store::dispatcher_is_running(&outbox.database).await.unwrap());
    tenure.close().await.unwrap();
    assert!(!Store::dispatcher_is_running(&outbox.database).await.unwrap());
    assert!(!outbox.store.is_sandbox());
}

/// Where there is none.
fn missing(outbox: &Outbox) -> Database {
    match &outbox.database {
        Database::File(path) => Database::from(format!("{}-missing", path.display())),
        Database::Postgres(server) => {
            let mut server = server.clone();
            server.set_schema("missing".to_owned()).unwrap();
            Database::Postgres(server)
        }
    }
}

pub async fn what_is_absent_is_known_and_not_taken_over(outbox: Outbox) {
    let missing = missing(&outbox);
    let absent = if outbox.is_on_postgres() { Absence::Outbox } else { Absence::Database };
    for _ in 0..2 {
        assert_eq!(Store::absence(&missing).await, Ok(Some(absent)));
        let nobodys = |_: &Job, _| unreachable!("nothing is to be recovered");
        let refused = Tenure::take_over(&missing, Purpose::Delivery, nobodys, |_| {}).await;
        let Err(e) = refused else { panic!("there is none") };
        assert!(matches!(e, StoreError::WrongVersion(_)), "{e:?}");
        assert!(e.to_string().contains("acquire-outbox init"), "{e}");
    }
    assert_eq!(Store::absence(&outbox.database).await, Ok(None));
}

pub async fn an_outbox_that_does_not_exist_is_named(outbox: Outbox) {
    let missing = missing(&outbox);
    let Err(e) = Store::open(&missing).await else { panic!("there is none") };
    assert!(matches!(e, StoreError::WrongVersion(_)), "{e:?}");
    assert!(e.to_string().contains("acquire-outbox init"), "{e}");
    let verdict = Store::examine(&missing, Depth::Quick).await.verdict;
    assert_eq!(verdict, Err(e.to_string()));
}
