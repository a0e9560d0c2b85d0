//! The style sheet, the script and the icon of the pages, from the binary.

use super::session::hex;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file in the binary.
pub struct Asset {
    kind: &'static str,
    text: &'static str,
    /// Its entity tag: a digest of the text.
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
pub static PAGE_SCRIPT: Asset = asset!("text/javascript; charset=utf-8", "page.js");
pub static ICON: Asset = asset!("image/svg+xml", "icon.svg");
pub static ICON_ATTENTION: Asset = asset!("image/svg+xml", "icon-attention.svg");
pub static ICON_DOWN: Asset = asset!("image/svg+xml", "icon-down.svg");

/// Browsers ask each time whether it has changed.
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
    (caching, [(header::CONTENT_TYPE, asset.kind)], asset.text).into_response()
}

fn tag(text: &str) -> String {
    format!("\"{}\"", hex(&Sha256::digest(text.as_bytes())[..12]))
}
