//! What the pages need beside their text: a style sheet, a script, an icon; all from the binary.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// A file in the binary.
pub struct Asset {
    kind: &'static str,
    text: &'static str,
    /// By its content.
    tag: LazyLock<String>,
}

macro_rules! asset {
    ($kind:literal, $file:literal) => {
        Asset {
            kind: $kind,
            text: include_str!(concat!("assets/", $file)),
            tag: LazyLock::new(|| tag(include_str!(concat!("assets/", $file)))),
        }
    };
}

pub static STYLE: Asset = asset!("text/css; charset=utf-8", "style.css");
pub static SCRIPT: Asset = asset!("text/javascript; charset=utf-8", "live.js");
pub static ICON: Asset = asset!("image/svg+xml", "icon.svg");

/// Caches ask each time, and are told that nothing has changed.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

pub async fn serve(asset: &'static Asset, headers: HeaderMap) -> Response {
    let tag: &str = &asset.tag;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let caching = [
        (header::ETAG, HeaderValue::from_str(tag).unwrap_or(REVALIDATE)),
        (header::CACHE_CONTROL, REVALIDATE),
    ];
    if known.is_some_and(|tags| tags.contains(tag) || tags == "*") {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind: [(HeaderName, HeaderValue); 1] =
        [(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind))];
    (caching, kind, asset.text).into_response()
}

fn tag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut tag = String::from("\"");
    for byte in digest.iter().take(12) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}
