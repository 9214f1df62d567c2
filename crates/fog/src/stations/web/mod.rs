//! A live feed at an address: asked again and again, page by page, and only for what is new.
//!
//! [`Address`], [`pages`] and [`Pace`] decide and ask nobody; [`WebFeed`] asks. What comes is bytes for
//! [`Feed::page`](super::feed::Feed::page), whatever the format.
//!
//! Provided: http and https, with the system's certificate authorities or those of a file; a token from a file, which stays on its
//! host, is in no log, and goes over TLS or to this machine only; pages by `Link`, by a `next` in the document, by
//! `X-Total-Count` or `total_count`; conditional requests by `ETag` and `Last-Modified`; gzip; bounds of time, bytes, pages,
//! redirects; a growing pause after failures, and the one that a server asks for. Not provided: proxies, HTTP/2, client
//! certificates, OAuth, pushes by the publisher.

mod address;
mod body;
mod client;
mod error;
mod pace;
pub mod pages;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use address::Address;
pub use client::{Page, Poll, WebFeed};
pub use error::WebError;
pub use pace::Pace;

/// Most bytes of one page, compressed or not: as many as of a document in a file.
pub const MAX_PAGE: usize = super::document::MAX_DOCUMENT;

/// Most pages of one poll: 150,000 EVSEs, a country of the size of France, by a hundred, and room.
pub const MAX_PAGES: usize = 2_000;

/// Most bytes of one poll, 1 GiB: a country's 150,000 EVSEs with 7 kB of places, plugs and tariffs each.
pub const MAX_POLL: usize = 1 << 30;

/// Redirects of one request; a chain of more is a loop.
pub const MAX_REDIRECTS: usize = 5;

/// How a feed at an address is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Time between two polls, in seconds, 1..=86400. Default 60.
    pub interval_s: u64,
    /// A file with the token that is sent with every request. Default: none is sent.
    pub token_file: Option<PathBuf>,
    /// The field that has the token. Default `Authorization`.
    pub header: String,
    /// What stands before the token: `Bearer`, OCPI's `Token`, or nothing. Default `Bearer`.
    pub scheme: String,
    /// A PEM file with the certificate authorities that may vouch for the server. Default: the system's.
    pub roots: Option<PathBuf>,
    /// Time after which an answer is not waited for, body included, in milliseconds, 10..=600000. Default 30000.
    pub timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval_s: 60,
            token_file: None,
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            roots: None,
            timeout_ms: 30_000,
        }
    }
}

impl Options {
    /// Time between two polls.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s)
    }
}
