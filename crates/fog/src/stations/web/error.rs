//! Why a feed at an address gives nothing now, or never will.

use std::time::Duration;

use super::{MAX_PAGE, MAX_PAGES, MAX_POLL, MAX_REDIRECTS};

/// Why a feed at an address is not read. No text has a query or a token in it.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// Correct the address.
    #[error("the feed's address cannot be used: {why}")]
    Address {
        /// What is wrong.
        why: String,
    },
    /// Correct the options.
    #[error("{option}: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Write the file, or name another.
    #[error("the token cannot be read")]
    Token(#[source] Box<voltmesh_identity::Error>),
    /// Write the file, or name another.
    #[error("the certificate authorities of {of} cannot be used: {why}")]
    Roots {
        /// The file, or the system.
        of: String,
        /// What is wrong.
        why: String,
    },
    /// Ask again later.
    #[error("{address} did not answer: {why}")]
    Silent {
        /// Who.
        address: String,
        /// What happened.
        why: String,
    },
    /// Ask again later, or correct token and address, as the status says.
    #[error("{address} answers {status}{}", remedy(*.status))]
    Status {
        /// Who.
        address: String,
        /// HTTP status.
        status: u16,
        /// How long to wait, as the server says.
        retry_after: Option<Duration>,
    },
    /// Configure the other address, if it is trusted.
    #[error(
        "{from} refers to {to}, which is another host: nothing is asked there, since it may not have the token; \
         if it is the publisher's, make it the feed's address"
    )]
    Elsewhere {
        /// Who.
        from: String,
        /// Where to.
        to: String,
    },
    /// Tell the publisher.
    #[error("{address} sends from one address to the next, more than {MAX_REDIRECTS} times")]
    Redirects {
        /// Who.
        address: String,
    },
    /// Ask for less: smaller pages, or a part of the network.
    #[error(
        "{address} answers with {what}; {MAX_PAGE} bytes a page, {MAX_PAGES} pages and {MAX_POLL} bytes at most are read"
    )]
    TooMuch {
        /// Who.
        address: String,
        /// Of what.
        what: String,
    },
    /// Tell the publisher.
    #[error("{address} answers with {what}")]
    Nonsense {
        /// Who.
        address: String,
        /// What is wrong.
        what: String,
    },
}

impl WebError {
    /// How long the server wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it does not take the token; see token_file, header and scheme",
        404 | 410 => ": there is no such feed; see the address",
        429 | 503 => ": it is asked too often, or overloaded; see interval_s",
        _ => "",
    }
}
