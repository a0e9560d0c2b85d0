//! One job as an operator sees it: its story, why it waits and, if asked for, its payload.

use super::explain::{self, Known, Next};
use crate::config::ChannelPolicy;
use crate::queue::job::{Channel, Millis};
use crate::queue::payload::Json;
use crate::queue::story::{Extent, Story};
use crate::queue::when::now;
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;

/// A job, as of `now`.
pub struct Inspection {
    pub story: Story,
    /// Why it waits; `None` for a job that has ended.
    pub next: Option<Next>,
    pub payload: Option<String>,
    pub now: Millis,
}

/// What to read, and what else is known.
pub struct Scope<'a> {
    pub extent: Extent,
    /// How much of the payload; `None` for nothing of it.
    pub payload_characters: Option<u32>,
    /// `None` where the configuration is not at hand; then rates and limits are not explained.
    pub policies: Option<&'a BTreeMap<Channel, ChannelPolicy>>,
    pub dispatcher: bool,
}

/// Reads a job, and the head of its ordering key if it is parked; `None` for an unknown id.
pub async fn inspect(
    store: &mut Store,
    id: i64,
    scope: &Scope<'_>,
) -> Result<Option<Inspection>, StoreError> {
    let Some(mut story) = store.story(id, scope.extent).await? else { return Ok(None) };
    let payload = match scope.payload_characters {
        Some(characters) => {
            let earlier = store.earlier_payloads(id, characters).await?;
            for act in &mut story.acts {
                let of_act = earlier.iter().find(|(id, _)| *id == act.id);
                act.payload = of_act.map(|(_, text)| json_or_text(text));
            }
            store.payload(id, characters).await?
        }
        None => None,
    };
    let head = match &story.ahead {
        Some(ahead) => store.story(ahead.holder, scope.extent).await?,
        None => None,
    };
    let now = now();
    let position = store.position(id, now).await?;
    let channel: Option<Channel> = story.job.delivery.channel.parse().ok();
    let next = explain::next(&Known {
        story: &story,
        head: head.as_ref(),
        position,
        policy: channel.and_then(|channel| scope.policies?.get(&channel)),
        dispatcher: scope.dispatcher,
        now,
    });
    Ok(Some(Inspection { story, next, payload, now }))
}

/// JSON as JSON, with its digits; other text as text.
pub fn json_or_text(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|_| Json::from(text))
}
