//! The values of flags that take one of several words: clap checks and completes them, `FromStr`
//! reads them. The queue's own types know no clap.

use crate::queue::filter::{SortBy, WaitState};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Failure, Status};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::error::Error;
use std::str::FromStr;

pub fn channel() -> impl TypedValueParser<Value = Channel> {
    parser(Channel::ALL.map(|channel| {
        let help = match channel {
            Channel::Chat => "A message, a note or an event in a case's conversation",
            Channel::Mail => "An email in a case",
            Channel::Sms => "A text message to a contact's phone",
        };
        (channel.as_str(), help)
    }))
}

pub fn status() -> impl TypedValueParser<Value = Status> {
    parser(Status::ALL.map(|status| {
        let help = match status {
            Status::Pending => "Waits to be sent, for the first time or again",
            Status::Sending => "Claimed: its request may be in flight",
            Status::Sent => "Acquire accepted it",
            Status::Failed => "It was not delivered; `failure` says why",
            Status::Cancelled => "Withdrawn before it was sent",
            Status::Uncertain => {
                "Its request may have reached Acquire, but no answer was read; a person decides"
            }
        };
        (status.as_str(), help)
    }))
}

pub fn failure() -> impl TypedValueParser<Value = Failure> {
    parser(Failure::ALL.map(|failure| {
        let help = match failure {
            Failure::Rejected => "Acquire refused the message",
            Failure::Exhausted => "Attempts or time used up",
            Failure::Expired => "`expires_at` passed before it was sent",
            Failure::Invalid => "The payload breaks the channel's rules; no request was made",
        };
        (failure.as_str(), help)
    }))
}

pub fn delivery() -> impl TypedValueParser<Value = DeliveryState> {
    parser(DeliveryState::ALL.map(|state| {
        let help = match state {
            DeliveryState::Delivered => "It has arrived",
            DeliveryState::Seen => "It was seen",
            DeliveryState::Bounced => "An email that was returned",
            DeliveryState::Failed => "It did not arrive, and was not returned either",
        };
        (state.as_str(), help)
    }))
}

pub fn waits() -> impl TypedValueParser<Value = WaitState> {
    parser(WaitState::ALL.map(|wait| {
        let help = match wait {
            WaitState::Ready => "Can be sent now, as soon as there is room",
            WaitState::Backoff => "Waits for its next attempt",
            WaitState::Scheduled => "Waits for its send_at",
            WaitState::Parked => "Waits for an earlier job of its ordering key",
        };
        (wait.as_str(), help)
    }))
}

pub fn sort_by() -> impl TypedValueParser<Value = SortBy> {
    parser(SortBy::ALL.map(|order| {
        let help = match order {
            SortBy::Id => "",
            SortBy::Created => "When it was inserted",
            SortBy::Updated => "When it was last written",
            SortBy::Finished => "When it finished; unfinished jobs are last",
            SortBy::Due => "When it is due",
            SortBy::Attempts => "How many requests were begun",
            SortBy::Channel | SortBy::Account | SortBy::Status | SortBy::Source => "",
            SortBy::Error => "The last error's code, then its text",
            SortBy::Case => "",
            SortBy::Contact => "",
        };
        (order.as_str(), help)
    }))
}

fn parser<T, const N: usize>(
    values: [(&'static str, &'static str); N],
) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    let values = values.map(|(word, help)| match help {
        "" => PossibleValue::new(word),
        help => PossibleValue::new(word).help(help),
    });
    PossibleValuesParser::new(values).try_map(|word| word.parse::<T>())
}
