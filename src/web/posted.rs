//! A submitted form: who sent it, from where, and its fields.

use super::Shared;
use super::browser::is_from_here;
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::session::same_secret;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use std::sync::Arc;
use url::form_urlencoded;

/// The fields of a form, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FormFields(pub Vec<(String, String)>);

impl FormFields {
    pub fn parse(encoded: &[u8]) -> FormFields {
        FormFields(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first value of a field; an empty value counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(given, value)| (given == name).then(|| filled(value)).flatten())
    }

    /// The first value of a field as it was typed, even if it is empty.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(given, value)| (given == name).then_some(value.as_str()))
    }

    /// A path of this dashboard; any other value counts as none.
    pub fn path(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|path| is_local(path))
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(given, _)| given == name);
        of_name.filter_map(|(_, value)| filled(value))
    }
}

fn filled(value: &str) -> Option<&str> {
    Some(value.trim()).filter(|value| !value.is_empty())
}

fn is_local(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A form from somebody who may act: sent from a page of this dashboard, or by a program with the
/// token.
pub struct Posted {
    pub caller: Caller,
    pub fields: FormFields,
}

impl FromRequest<Arc<Shared>> for Posted {
    type Rejection = ErrorPage;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, ErrorPage> {
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Reader);
        if !caller.may_act() {
            return Err(ErrorPage::new(
                StatusCode::FORBIDDEN,
                "This dashboard is read-only; to make changes here, set a token with `token_file` in \
                 [web] or ACQUIRE_OUTBOX_WEB_TOKEN_FILE, and restart",
            ));
        }
        let headers = request.headers().clone();
        let fields = fields(request, shared).await?;
        match &caller {
            Caller::Person { csrf, .. } => {
                require_from_here(&headers, shared)?;
                if !fields.get("csrf").is_some_and(|given| same_secret(given, csrf)) {
                    return Err(ErrorPage::new(
                        StatusCode::FORBIDDEN,
                        "This form belongs to an earlier login; go back, reload the page and try again",
                    ));
                }
            }
            // No other site knows the token. A browser that sends it still names the page's origin.
            _ if says_where(&headers) => require_from_here(&headers, shared)?,
            _ => {}
        }
        Ok(Posted { caller, fields })
    }
}

/// The form's fields, without any check of the sender.
pub async fn fields(request: Request, shared: &Arc<Shared>) -> Result<FormFields, ErrorPage> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let form = |kind: &str| kind.starts_with("application/x-www-form-urlencoded");
    // A program that sends no fields may leave out their type.
    if kind.is_some_and(|kind| !form(kind)) {
        let sentence = "The request must be a form: application/x-www-form-urlencoded";
        return Err(ErrorPage::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let body = Bytes::from_request(request, shared).await.map_err(|rejection| {
        ErrorPage::new(rejection.status(), "the form could not be read, or is too long")
    })?;
    Ok(FormFields::parse(&body))
}

pub fn require_from_here(headers: &HeaderMap, shared: &Shared) -> Result<(), ErrorPage> {
    match is_from_here(headers, &shared.settings.hosts) {
        true => Ok(()),
        false => Err(ErrorPage::new(
            StatusCode::FORBIDDEN,
            "This form was not sent from a page of this dashboard. If there is a reverse proxy, \
             make it pass on the Host header, or add the name to `hosts` in [web]",
        )),
    }
}

pub fn says_where(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_empty_ones_are_left_out() {
        let fields = FormFields::parse(b"id=1&id=2&error=a+b%26&source=+&id=");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.get("error"), Some("a b&"));
        assert_eq!(fields.get("source"), None);
    }

    #[test]
    fn only_a_page_of_this_dashboard_is_a_path() {
        let path = |given: &str| {
            FormFields(vec![("to".to_owned(), given.to_owned())]).path("to").is_some()
        };
        assert!(path("/") && path("/jobs?status=failed"));
        for elsewhere in ["//evil.example.com", "/\\evil.example.com", "https://evil", "", "/\r\nx"]
        {
            assert!(!path(elsewhere), "{elsewhere:?}");
        }
    }
}
