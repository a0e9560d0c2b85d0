use super::*;
use crate::queue::claim::BytesLeft;
use crate::queue::claim::Claim;
use crate::queue::claim::Cycle;
use crate::queue::when::now;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::fixture::outbox;
use libsqlite3_sys::{SQLITE_STMTSTATUS_VM_STEP, sqlite3_next_stmt, sqlite3_stmt_status};

const KB: u64 = 1000;

/// An email without order whose payload has about this many bytes.
fn mail(account: &str, priority: u8, bytes: usize) -> String {
    format!(
        "INSERT INTO outbox (channel, account, priority, ordering_key, payload) VALUES ('mail', '{account}', \
         {priority}, '', json_object('caseId', 1, 'contactId', 2, 'from', 'a@example.com', \
         'to', 'b@example.com', 'subject', 's', 'textBody', printf('%.*c', {bytes}, 'x')));"
    )
}

fn room(routes: &[(&str, u32)], places: u32, small: u64, large: u64) -> Room {
    let of = |&(account, limit): &(&str, u32)| Claim {
        account: account.to_owned(),
        channel: Channel::Mail,
        limit,
    };
    let bytes = BytesLeft { small, large, alone: true };
    Room { places, bytes, ..Room::unlimited(routes.iter().map(of).collect()) }
}

/// What the claim takes, by id, and whether it left something for lack of places or bytes.
async fn claim(store: &mut SqliteStore, room: &Room) -> (Vec<i64>, bool) {
    let work = Cycle { record: &[], room: Some(room), due: false, now: now(), expecting: false };
    let done = store.cycle(&work, 1).await.unwrap();
    let mut ids: Vec<_> = done.claimed.iter().map(|job| job.id).collect();
    ids.sort_unstable();
    (ids, done.cut)
}

async fn with(rows: &[String]) -> (tempfile::TempDir, SqliteStore) {
    let (folder, mut store) = outbox(&rows.concat()).await;
    store.create_procedures().await.unwrap();
    store.begin_epoch().await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn as_much_is_claimed_as_fits_and_the_rest_next_time() {
    let rows: Vec<_> = (0..5).map(|_| mail("a", 0, 100_000)).collect();
    let (_folder, mut store) = with(&rows).await;
    let fits_two = room(&[("a", 10)], 100, 500 * KB, 250 * KB);
    assert_eq!(claim(&mut store, &fits_two).await, (vec![1, 2], true));
    assert_eq!(claim(&mut store, &fits_two).await, (vec![3, 4], true));
    assert_eq!(claim(&mut store, &fits_two).await, (vec![5], false));
}

#[tokio::test]
async fn one_that_is_larger_than_all_there_is_goes_alone() {
    let (_folder, mut store) = with(&[mail("a", 0, 300_000), mail("a", 0, 20_000)]).await;
    let mut little = room(&[("a", 10)], 100, 500 * KB, 100 * KB);
    little.bytes.alone = false;
    assert_eq!(claim(&mut store, &little).await, (vec![], true), "another large one is out");
    little.bytes.alone = true;
    assert_eq!(claim(&mut store, &little).await, (vec![1], true));
}

/// Otherwise small messages of the same account would overtake it forever.
#[tokio::test]
async fn what_waits_for_bytes_is_not_overtaken_within_its_route_and_holds_up_no_small_one_of_another()
 {
    let rows =
        [mail("a", 5, 90_000), mail("a", 4, 1_000), mail("b", 0, 1_000), mail("b", 0, 90_000)];
    let (_folder, mut store) = with(&rows).await;
    let mut none = room(&[("a", 10), ("b", 10)], 100, 500 * KB, 50 * KB);
    none.bytes.alone = false;
    assert_eq!(claim(&mut store, &none).await, (vec![3], true));
    none.bytes.large = 100 * KB;
    assert_eq!(claim(&mut store, &none).await, (vec![1, 2], true));
    assert_eq!(claim(&mut store, &none).await, (vec![4], false));
}

#[tokio::test]
async fn routes_take_turns_where_one_message_fits_at_a_time() {
    let mut rows: Vec<_> = (0..3).map(|_| mail("a", 9, 90_000)).collect();
    rows.extend((0..3).map(|_| mail("b", 0, 90_000)));
    let (_folder, mut store) = with(&rows).await;
    let one = room(&[("a", 10), ("b", 10)], 100, 500 * KB, 100 * KB);
    let mut order = Vec::new();
    for _ in 0..6 {
        order.extend(claim(&mut store, &one).await.0);
    }
    assert_eq!(order, [1, 4, 2, 5, 3, 6]);
}

/// A large one that does not fit yet is not passed over for smaller ones that do.
#[tokio::test]
async fn what_is_large_gets_its_bytes_before_what_came_after_it() {
    let rows = [mail("a", 0, 90_000), mail("b", 0, 40_000), mail("b", 0, 40_000)];
    let (_folder, mut store) = with(&rows).await;
    let mut little = room(&[("a", 10), ("b", 10)], 100, 500 * KB, 50 * KB);
    little.bytes.alone = false;
    assert_eq!(claim(&mut store, &little).await, (vec![], true));
    little.bytes.large = 100 * KB;
    assert_eq!(claim(&mut store, &little).await, (vec![1], true));
}

#[tokio::test]
async fn places_that_are_scarce_are_divided_among_the_routes() {
    let mut rows: Vec<_> = (0..4).map(|_| mail("a", 9, 10)).collect();
    rows.extend((0..4).map(|_| mail("b", 0, 10)));
    let (_folder, mut store) = with(&rows).await;
    let three = room(&[("a", 10), ("b", 10)], 3, 500 * KB, 500 * KB);
    assert_eq!(claim(&mut store, &three).await, (vec![1, 2, 5], true));
    assert_eq!(claim(&mut store, &Room { places: 0, ..three.clone() }).await, (vec![], false));
    assert_eq!(claim(&mut store, &Room { share: 1, ..three }).await, (vec![3, 6], false));
}

/// However it got past the triggers.
#[tokio::test]
async fn a_payload_that_is_too_large_is_not_read_and_breaks_the_channels_rules() {
    let (_folder, mut store) = with(&[mail("a", 0, 20_000)]).await;
    let triggers: Vec<String> = sqlx::query_scalar(
        "SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'outbox'",
    )
    .fetch_all(&mut store.conn)
    .await
    .unwrap();
    store.execute_sql(&triggers.join(";")).await.unwrap();
    store
        .execute_sql("UPDATE outbox SET payload = CAST(zeroblob(67109000) AS TEXT)")
        .await
        .unwrap();
    let work = Cycle {
        record: &[],
        room: Some(&room(&[("a", 10)], 100, 500 * KB, 500 * KB)),
        due: false,
        now: now(),
        expecting: false,
    };
    let claimed = store.cycle(&work, 1).await.unwrap().claimed;
    assert_eq!(claimed[0].payload.len(), crate::queue::payload::MAX_BYTES + 1);
    let error = crate::queue::payload::parse_bytes(Channel::Mail, &claimed[0].payload).unwrap_err();
    assert!(error.to_string().contains("at most 64 MiB"), "{error}");
}

/// Steps of SQLite's machine that the cycle's statements have taken so far.
async fn steps(store: &mut SqliteStore) -> i64 {
    let mut handle = store.conn.lock_handle().await.unwrap();
    let db = handle.as_raw_handle().as_ptr();
    let (mut sum, mut statement) = (0, std::ptr::null_mut());
    loop {
        // SAFETY: the connection is locked, and each statement is its own.
        statement = unsafe { sqlite3_next_stmt(db, statement) };
        if statement.is_null() {
            return sum;
        }
        // SAFETY: as above; 1 sets the counter back.
        sum += i64::from(unsafe { sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1) });
    }
}

/// With one account and with 400, one of which has a message.
#[tokio::test]
async fn a_cycle_costs_the_same_however_many_accounts_are_configured() {
    let mut costs = Vec::new();
    for accounts in [1, 400] {
        let (_folder, mut store) = with(&[]).await;
        let names: Vec<_> = (0..accounts).map(|n| format!("a{n}")).collect();
        let rooms: Vec<_> = names.iter().map(|name| (name.as_str(), 16)).collect();
        let all = room(&rooms, 1000, 500 * KB, 500 * KB);
        assert_eq!(claim(&mut store, &all).await, (vec![], false));
        let none_new = Room { changed: Vec::new(), ..all };
        for id in 1..4 {
            store.execute_sql(&mail("a0", 0, 100)).await.unwrap();
            steps(&mut store).await;
            assert_eq!(claim(&mut store, &none_new).await, (vec![id], false));
            if id == 3 {
                costs.push(steps(&mut store).await);
            }
        }
    }
    assert!(costs[0] > 100, "{costs:?}");
    assert!((costs[1] - costs[0]).abs() < 20, "steps with one account, and with 400: {costs:?}");
}

/// What the memory limit costs a usual cycle.
#[tokio::test]
async fn the_bound_of_memory_costs_a_small_job_a_few_steps() {
    let mut costs = Vec::new();
    for jobs in [10, 110] {
        let rows: Vec<_> = (0..jobs).map(|_| mail("a", 0, 100)).collect();
        let (_folder, mut store) = with(&rows).await;
        let all = room(&[("a", 1000)], 1000, 500 * KB, 500 * KB);
        steps(&mut store).await;
        assert_eq!(claim(&mut store, &all).await.0.len(), jobs);
        costs.push(steps(&mut store).await);
    }
    let per_job = (costs[1] - costs[0]) / 100;
    println!("steps per job: {per_job}");
    assert!((100..320).contains(&per_job), "{per_job} steps per job");
}
