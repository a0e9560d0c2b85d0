//! Sending a job again with a corrected payload.

use crate::queue::change::{Change, Refused};
use crate::queue::correction::{Corrected, DraftFence};
use crate::queue::payload;
use crate::store::{Store, StoreError};

/// Gives a failed or cancelled job another payload and retries it; the reason if that is not possible.
///
/// # Errors
/// The store's; [`StoreError::rule`] where the database refuses the payload.
pub async fn send_again(
    store: &mut Store,
    id: i64,
    payload: &str,
) -> Result<Result<(), Refused>, StoreError> {
    let refused = |sentence: String| Ok(Err(Refused { id, sentence }));
    let Some(draft) = store.draft(id).await? else {
        return refused("there is no such job".to_owned());
    };
    if !draft.fence.is_correctable() {
        return refused(not_correctable(&draft.fence.status));
    }
    let Ok(channel) = draft.channel.parse() else {
        return refused("its channel is unknown".to_owned());
    };
    if let Err(error) = payload::check(channel, payload) {
        return refused(error.to_string());
    }
    match correct(store, &draft.fence, payload).await? {
        None => Ok(Ok(())),
        Some(sentence) => refused(sentence),
    }
}

/// Corrects the job if it is still as it was drafted; otherwise returns the reason why it was left alone.
pub async fn correct(
    store: &mut Store,
    drafted: &DraftFence,
    payload: &str,
) -> Result<Option<String>, StoreError> {
    Ok(match store.correct(drafted, payload).await? {
        Corrected::Done => None,
        Corrected::LeftAlone(status) => Some(changed_since(drafted, &status)),
        Corrected::Missing => Some("there is no such job".to_owned()),
    })
}

/// Why a job that is in this state now is not corrected as it was drafted.
pub fn changed_since(drafted: &DraftFence, status: &str) -> String {
    match status == drafted.status {
        true => "was changed by somebody else in the meantime".to_owned(),
        false => format!("has become {status} in the meantime"),
    }
}

/// Why a job in this state cannot be corrected.
pub fn not_correctable(status: &str) -> String {
    let first = match status.parse() {
        Ok(status) => Change::Retry.refuses(status),
        Err(_) => None,
    };
    first.unwrap_or_else(|| {
        format!(
            "is {status}; only failed and cancelled jobs can be sent again with another payload"
        )
    })
}
