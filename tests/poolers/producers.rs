//! Plain inserts and an example, through a pooler.

use super::{MODES, Place, chat};
use crate::support::{SOON, Server, eventually};
use std::thread;

/// Many at once share few sessions, while a node that is connected directly sends what they insert.
#[test]
fn producers_share_sessions_and_nothing_is_lost() {
    for mode in MODES {
        let Some(place) = Place::behind(mode) else { return };
        let server = Server::start();
        let direct = place.database.url();
        let daemon = place.configured(&server).env("ACQUIRE_OUTBOX_DATABASE", direct);
        let daemon = daemon.start(&["run"]).ready();
        thread::scope(|scope| {
            for producer in 0..4 {
                let pooled = place.pooled();
                scope.spawn(move || {
                    for job in 0..10 {
                        pooled.execute(&chat(producer * 100 + job));
                    }
                });
            }
        });
        eventually(SOON, "all sent", || server.count() == 40);
        // What is wrong is said as ever.
        let refused = place
            .pooled()
            .try_query("INSERT INTO messaging.outbox (channel, payload) VALUES ('fax', '{}')");
        assert_eq!(refused.unwrap_err(), "outbox.channel: must be chat, mail or sms");
        drop(daemon);
    }
}
