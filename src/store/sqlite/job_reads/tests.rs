use super::*;
use crate::queue::filter::SortBy;
use crate::queue::job::{Channel, Status};
use crate::queue::when::now;
use crate::store::sqlite::fixture::{chat, outbox};
use sqlx::AssertSqlSafe;

#[tokio::test]
async fn the_story_of_a_parked_job_names_its_head() {
    let three = chat(1, "NULL").repeat(3);
    let (_folder, mut store) = outbox(&three).await;
    let story = store.story(3, Extent::ALL).await.unwrap().unwrap();
    let ahead = story.ahead.unwrap();
    assert_eq!((ahead.holder, ahead.holder_status.as_str(), ahead.jobs), (1, "pending", 2));
    assert_eq!(story.job.payload_fields, r#"["caseId","message"]"#);
    assert_eq!(store.story(1, Extent::ALL).await.unwrap().unwrap().ahead, None);
    assert_eq!(store.story(4, Extent::ALL).await.unwrap(), None);
}

async fn plan(store: &mut SqliteStore, mut query: QueryBuilder<Sqlite>) -> Vec<String> {
    let rows = query.build().fetch_all(&mut store.conn).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

/// The newest fifty are found without a sort, and without reading millions of finished jobs.
#[tokio::test]
async fn a_page_of_what_is_rare_comes_from_its_index_and_any_other_from_the_tables_end() {
    let (_folder, mut store) = outbox("").await;
    let page = Page::newest(50);
    for statuses in [vec![], vec![Status::Sent], vec![Status::Sent, Status::Failed]] {
        let filter = Filter { statuses, channel: Some(Channel::Sms), ..Filter::default() };
        let plan = plan(&mut store, page_query("EXPLAIN QUERY PLAN ", &filter, &page)).await;
        assert!(plan.contains(&"SCAN o".to_owned()), "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("outbox_")), "{plan:#?}");
    }
    let rare = Status::ALL.into_iter().filter(|status| *status != Status::Sent);
    for status in rare.chain([Status::Failed]) {
        let filter = Filter {
            statuses: vec![status],
            account: Some("default".to_owned()),
            error: Some("refused".to_owned()),
            ..Filter::default()
        };
        let plan = plan(&mut store, page_query("EXPLAIN QUERY PLAN ", &filter, &page)).await;
        assert!(plan[2..].iter().any(|line| line.contains("INDEX outbox_")), "{plan:#?}");
        assert!(!plan.contains(&"SCAN o".to_owned()), "{status}: {plan:#?}");
    }
    let of_a_key = Filter { idempotency_key: Some("k".to_owned()), ..Filter::default() };
    let plan = plan(&mut store, page_query("EXPLAIN QUERY PLAN ", &of_a_key, &page)).await;
    assert!(plan.iter().any(|line| line.contains("(idempotency_key=?)")), "{plan:#?}");
}

/// What somebody looks for is found through a separate index, whatever else is asked.
#[tokio::test]
async fn what_is_looked_for_has_an_index() {
    let (_folder, mut store) = outbox("").await;
    let (page, value) = (Page::newest(50), || Some("7".to_owned()));
    let all = Filter::default;
    for analyzed in [false, true] {
        if analyzed {
            store.execute_sql("ANALYZE").await.unwrap();
        }
        for (filter, indexes) in [
            (Filter { case: value(), ..all() }, &["outbox_case", "outbox_answered_case"][..]),
            (Filter { contact: value(), ..all() }, &["outbox_contact"]),
            (
                Filter { recipient: value(), ..all() },
                &["outbox_recipient", "outbox_recipients_address"],
            ),
            (Filter { message_id: value(), ..all() }, &["outbox_message"]),
            (Filter { source: value(), ..all() }, &["outbox_source"]),
            (Filter { finished_since: Some(1), ..all() }, &["outbox_finished"]),
        ] {
            let states = [vec![], vec![Status::Failed], vec![Status::Sent, Status::Failed]];
            for statuses in states {
                let of_source = filter.source.is_some() && !statuses.is_empty();
                let filter = Filter { statuses, ..filter.clone() };
                let explain = "EXPLAIN QUERY PLAN ";
                for query in [page_query(explain, &filter, &page), count_query(explain, &filter)] {
                    let plan = plan(&mut store, query).await;
                    let uses = |index: &&str| {
                        plan.iter().any(|line| line.contains(&format!("INDEX {index} ")))
                    };
                    assert!(of_source || indexes.iter().all(uses), "{filter:?}: {plan:#?}");
                    assert!(of_source || !plan.iter().any(|l| l == "SCAN o"), "{plan:#?}");
                }
            }
        }
    }
    let next = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {NEXT_UNDECIDED}")));
    let next: Vec<String> = next
        .fetch_all(&mut store.conn)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("detail"))
        .collect();
    assert!(next[0].contains("INDEX outbox_uncertain"), "{next:?}");
}

#[tokio::test]
async fn a_count_by_state_and_channel_reads_no_row() {
    let (_folder, mut store) = outbox("").await;
    for statuses in [vec![], vec![Status::Sent], vec![Status::Failed, Status::Cancelled]] {
        let filter = Filter { statuses, channel: Some(Channel::Chat), ..Filter::default() };
        let plan = plan(&mut store, count_query("EXPLAIN QUERY PLAN ", &filter)).await;
        assert!(!plan.contains(&"SCAN o".to_owned()), "{plan:#?}");
    }
}

#[tokio::test]
async fn every_filter_gives_the_same_jobs_by_page_by_count_and_by_ids() {
    let jobs = (1..=6).map(|case| chat(case, "NULL")).collect::<String>();
    let (_folder, mut store) = outbox(&jobs).await;
    store
        .execute_sql(
            "UPDATE outbox SET status = 'cancelled' WHERE id = 2;
             UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'x',
                    error = 'No such Thing' WHERE id IN (3, 4);
             INSERT INTO outbox (channel, payload, source, send_at) VALUES ('sms',
                '{\"From\": \"1\", \"To\": \"2\", \"Body\": \"b\", \"contactId\": 1, \"threadId\": 77,
                  \"timelineId\": 1}', 'shop', datetime('now', '+1 day'));
             INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"2nd\"}');",
        )
        .await
        .unwrap();
    let all = Filter::default;
    let cases = [
        (all(), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (Filter { statuses: vec![Status::Pending], ..all() }, vec![1, 5, 6, 7, 8]),
        (Filter { statuses: vec![Status::Cancelled, Status::Failed], ..all() }, vec![2, 3, 4]),
        (Filter { statuses: vec![Status::Sent, Status::Failed], ..all() }, vec![3, 4]),
        (Filter { failure: Some(crate::queue::job::Failure::Invalid), ..all() }, vec![3, 4]),
        (Filter { error: Some("sucH tHing".to_owned()), ..all() }, vec![3, 4]),
        (Filter { error_code: Some("x".to_owned()), case: Some("4".to_owned()), ..all() }, vec![4]),
        (Filter { case: Some("77".to_owned()), ..all() }, vec![7]),
        (Filter { source: Some("shop".to_owned()), ..all() }, vec![7]),
        (Filter { channel: Some(Channel::Sms), ..all() }, vec![7]),
        (Filter { created_before: Some(1), ..all() }, vec![]),
        (Filter { up_to_id: Some(3), ..all() }, vec![1, 2, 3]),
        (Filter { up_to_id: Some(3), statuses: vec![Status::Failed], ..all() }, vec![3]),
        (Filter { created_since: Some(1), statuses: vec![Status::Failed], ..all() }, vec![3, 4]),
        (Filter { finished_before: Some(now() + 1000), ..all() }, vec![2, 3, 4]),
    ];
    for (filter, expected) in cases {
        let page = Page { sort: SortBy::Id, ascending: true, limit: 100, offset: 0 };
        let listed = store.deliveries(&filter, &page).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|job| job.id).collect();
        assert_eq!(listed, expected, "{filter:?}");
        assert_eq!(store.ids(&filter, i64::MIN, ALL).await.unwrap(), expected, "{filter:?}");
        assert_eq!(store.count(&filter).await.unwrap(), expected.len() as u64, "{filter:?}");
    }
}

#[tokio::test]
async fn what_goes_before_a_job_is_counted_in_the_order_of_the_claim() {
    let (_folder, mut store) = outbox("").await;
    let chat = |priority: i64, account: &str| {
        format!(
            "INSERT INTO outbox (channel, payload, priority, account, ordering_key)
             VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', {priority}, '{account}', '');"
        )
    };
    let jobs = [(0, "default"), (5, "default"), (0, "default"), (9, "shop"), (0, "default")];
    let jobs = jobs.map(|(priority, account)| chat(priority, account)).concat();
    store.execute_sql(&jobs).await.unwrap();
    let mut ahead = Vec::new();
    for id in 1..=5 {
        ahead.push(store.position(id, now()).await.unwrap().unwrap().ahead);
    }
    assert_eq!(ahead, [1, 0, 2, 0, 3]);
    store.execute_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 5").await.unwrap();
    assert_eq!(store.position(5, now()).await.unwrap(), None);

    let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {POSITION}")))
        .fetch_all(&mut store.conn)
        .await
        .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
    let up_to_it = "SEARCH w USING COVERING INDEX outbox_ready \
                    (account=? AND channel=? AND priority=? AND due_at<?)";
    assert!(plan.contains(&up_to_it.to_owned()), "{plan:#?}");
    assert!(!plan.iter().any(|line| line.starts_with("SCAN f") || line == "SCAN c"), "{plan:#?}");
}
