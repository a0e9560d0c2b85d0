//! How an error reads at the end of a command: one sentence, with what to do.

use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::links::LinkError;
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use anyhow::Error;

/// The error with its contexts. The library's own errors quote their causes already, so these
/// are not repeated.
pub fn sentence_of(error: &Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(&cause.to_string());
        let whole = cause.is::<ConfigError>()
            || cause.is::<DaemonError>()
            || cause.is::<LinkError>()
            || cause.is::<SandboxError>()
            || cause.is::<StoreError>();
        if whole {
            break;
        }
    }
    sentence
}

fn of_store(error: &Error) -> Option<&StoreError> {
    error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(DaemonError::Store(store)) => Some(store),
        _ => None,
    })
}

/// The file must not be used under this name or for this purpose: trying again does not help.
pub fn is_of_the_file(error: &Error) -> bool {
    error.is::<LinkError>() || matches!(of_store(error), Some(StoreError::Unusable(_)))
}
