//! The dispatcher's statements by name, for the test of their plans.

use super::{agenda, blocks, epoch, erase, file_size, following, retries_clock, set_aside};
use super::{unknown_accounts, verifying, waiting};

/// What the dispatcher does between its cycles, by name.
pub(super) const STATEMENTS: [(&str, &str); 29] = [
    ("agenda", agenda::AGENDA),
    ("aside_tryable", set_aside::TRYABLE),
    ("aside_over", set_aside::OVER),
    ("fail_unknown_account", unknown_accounts::FAIL_UNKNOWN_ACCOUNT),
    ("any_left", waiting::ANY_LEFT),
    ("prunable", erase::PRUNABLE),
    ("prune", erase::PRUNE),
    ("scrubbed_until", erase::SCRUBBED_UNTIL),
    ("scrubbable", erase::SCRUBBABLE),
    ("scrub", erase::SCRUB),
    ("mark", erase::MARK),
    ("forget_taken_keys", erase::FORGET_TAKEN_KEYS),
    ("space", file_size::SPACE),
    ("begin_epoch", epoch::BEGIN_EPOCH),
    ("in_backoff", retries_clock::IN_BACKOFF),
    ("begun_later", retries_clock::BEGUN_LATER),
    ("move_retries", retries_clock::MOVE_RETRIES),
    ("pull_in", retries_clock::PULL_IN),
    ("backlog", waiting::BACKLOG),
    ("holds", blocks::HOLDS),
    ("is_of_epoch", epoch::IS_OF_EPOCH),
    ("epoch_started_at", epoch::EPOCH_STARTED_AT),
    ("to_look_for", verifying::TO_LOOK_FOR),
    ("recorded", verifying::RECORDED),
    ("recorded_sms", verifying::RECORDED_SMS),
    ("rivals", verifying::RIVALS),
    ("to_follow", following::TO_FOLLOW),
    ("take_followed", following::TAKE),
    ("record_followed", following::RECORD),
];
