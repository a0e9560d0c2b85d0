//! A job's request as a curl command, without the key.

use super::client::join;
use super::request;
use crate::queue::payload::Payload;
use url::Url;

/// The command, for a POSIX shell that has the key in `ACQUIRE_API_KEY`. It contains the message's text.
pub fn curl_command(base: &Url, user_type_parameter: &str, payload: &Payload) -> String {
    let mut url = join(base, request::path(payload.channel()));
    let query = request::query(payload);
    if let Some(user_type) = query.user_type {
        url.query_pairs_mut().append_pair(user_type_parameter, user_type.as_str());
    }
    if let Some(contact) = query.contact_id {
        url.query_pairs_mut().append_pair("contactId", &contact.to_string());
    }
    let body = request::body(payload);
    format!(
        "curl {} \\\n  -H \"Authorization: Bearer $ACQUIRE_API_KEY\" \\\n  -H 'Accept: application/json' \\\n  \
         -H 'Content-Type: application/json' \\\n  --data-binary {}",
        quoted(url.as_str()),
        quoted(&String::from_utf8_lossy(&body))
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
