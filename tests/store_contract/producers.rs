//! Inserting jobs.

use super::{Outbox, chat};
use acquire_outbox::queue::change::Mode;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::new_job::{Inserted, NewJob};
use acquire_outbox::queue::transfer::NewRow;
use serde_json::{Value, json};

fn row(value: Value) -> NewRow {
    let Value::Object(mut row) = value else { panic!("an object is needed") };
    row.entry("channel").or_insert("chat".into());
    row.entry("payload").or_insert(r#"{"caseId": 7, "message": "hi"}"#.into());
    row
}

pub async fn a_taken_key_gives_the_job_that_has_it(mut outbox: Outbox) {
    let job = NewJob { idempotency_key: Some("k".to_owned()), ..chat(1) };
    let Inserted::New(id) = outbox.store.insert(&job).await.unwrap() else { panic!("it is new") };
    assert_eq!(outbox.store.insert(&job).await.unwrap(), Inserted::Existing(id));
    assert_eq!(outbox.store.count(&Filter::default()).await.unwrap(), 1);
}

pub async fn a_refusal_has_the_rules_sentence(mut outbox: Outbox) {
    let wrong = [
        (NewJob { payload: "{}".to_owned(), ..chat(1) }, "outbox.payload.caseId: required"),
        (NewJob { priority: 10, ..chat(1) }, "outbox.priority: must be a whole number from 0 to 9"),
        (
            NewJob { max_attempts: Some(0), ..chat(1) },
            "outbox.max_attempts: must be a whole number",
        ),
        (NewJob { account: String::new(), ..chat(1) }, "outbox.account: must be the name"),
    ];
    for (job, sentence) in wrong {
        let refused = outbox.store.insert(&job).await.unwrap_err();
        assert!(refused.is_of_a_row() && !refused.is_busy() && !refused.is_final(), "{refused:?}");
        assert!(refused.rule().unwrap().starts_with(sentence), "{refused}");
    }
    assert_eq!(outbox.store.last_id().await.unwrap(), 0);
}

pub async fn an_import_is_all_or_nothing_and_skips_taken_keys(mut outbox: Outbox) {
    let rows = [
        row(json!({"idempotency_key": "a", "source": "first"})),
        row(json!({"idempotency_key": "a", "source": "second"})),
        row(json!({"idempotency_key": "b", "priority": 3, "account": "shop"})),
    ];
    assert_eq!(outbox.store.import(&rows, Mode::Apply).await.unwrap(), 2);
    assert_eq!(outbox.store.import(&rows, Mode::Apply).await.unwrap(), 0);
    let of_first = Filter { source: Some("first".to_owned()), ..Filter::default() };
    assert_eq!(outbox.store.count(&of_first).await.unwrap(), 1);
    let refused = [row(json!({})), row(json!({"channel": "fax"}))];
    let refused = outbox.store.import(&refused, Mode::Apply).await.unwrap_err();
    assert_eq!(refused.rule(), Some("outbox.channel: must be chat, mail or sms"));
    assert_eq!(outbox.store.count(&Filter::default()).await.unwrap(), 2);
}

pub async fn a_rehearsed_import_finds_the_same_rule_and_inserts_nothing(mut outbox: Outbox) {
    assert_eq!(outbox.store.import(&[row(json!({}))], Mode::Rehearse).await.unwrap(), 0);
    let rows = [row(json!({})), row(json!({"send_at": 1_763_800_000}))];
    let refused = outbox.store.import(&rows, Mode::Rehearse).await.unwrap_err();
    let sentence = "outbox.send_at: a number must be Unix milliseconds";
    assert!(refused.rule().unwrap().starts_with(sentence), "{refused}");
    assert_eq!(outbox.store.last_id().await.unwrap(), 0);
}
