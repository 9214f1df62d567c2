//! The client: one poll after the other, page by page.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use crate::no_answer;

use super::body::{Unreadable, unpacked};
use super::pages::{self, Head};
use super::{Address, MAX_PAGE, MAX_PAGES, MAX_POLL, MAX_REDIRECTS, Options, WebError};

/// Formats that are read, the richest first.
const ACCEPT: &str = "application/json, application/xml;q=0.9, text/csv;q=0.8, */*;q=0.5";

/// Largest file of certificate authorities, in bytes: all of Mozilla's have 220 kB.
const MAX_ROOTS: u64 = 4 << 20;

/// What is known of a page since it was had last.
#[derive(Debug)]
struct Known {
    address: Address,
    /// `ETag` and `Last-Modified`, as they came.
    tag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
    next: Option<Address>,
}

/// A feed at an address.
#[derive(Debug)]
pub struct WebFeed {
    start: Address,
    options: Options,
    header: HeaderName,
    client: reqwest::Client,
    known: Vec<Known>,
}

/// What a page has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The page, unpacked.
    News(Vec<u8>),
    /// What it had when it was last asked for (304).
    Same,
}

impl WebFeed {
    /// Of an address. Nothing is asked yet.
    ///
    /// # Errors
    /// An option that cannot be used; roots that cannot be read; a token that would be sent in the clear.
    pub fn new(start: Address, options: Options) -> Result<Self, WebError> {
        let wrong = |option, why: String| WebError::Option { option, why };
        let header = options
            .header
            .parse()
            .map_err(|_| wrong("header", format!("{:?} is no name of an HTTP field", options.header)))?;
        if options.token_file.is_some() && !start.is_private() {
            let why = format!("the token would go to {start} in the clear; use https, or no token");
            return Err(wrong("token_file", why));
        }
        let timeout = Duration::from_millis(options.timeout_ms);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(options.roots.as_deref())?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .timeout(timeout)
            .user_agent(concat!("voltmesh/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong("roots", error.without_url().to_string()))?;
        Ok(Self { start, options, header, client, known: Vec::new() })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.start
    }

    /// Forgets what pages were: the next poll gets all of them.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Begins a poll.
    pub fn poll(&mut self) -> Poll<'_> {
        let next = Some(self.start.clone());
        Poll { feed: self, next, number: 0, bytes: 0, asked: BTreeSet::new(), before: None }
    }

    /// The token's field; read each time, since tokens are replaced.
    fn token(&self) -> Result<Option<HeaderValue>, WebError> {
        let Some(path) = &self.options.token_file else { return Ok(None) };
        let token = voltmesh_identity::read_token(path).map_err(|error| WebError::Token(Box::new(error)))?;
        let scheme = self.options.scheme.trim();
        let separator = if scheme.is_empty() { "" } else { " " };
        let wrong = |_| WebError::Option {
            option: "token_file",
            why: format!("{} has characters that no HTTP field may have", path.display()),
        };
        let mut value =
            HeaderValue::from_str(&format!("{scheme}{separator}{}", token.trim())).map_err(wrong)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Asks, and follows redirects on the same host.
    async fn ask(&self, address: &Address, known: Option<&Known>) -> Result<(Address, Response), WebError> {
        let token = self.token()?;
        let mut at = address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(at.url().clone());
            request = request.header(header::ACCEPT, ACCEPT).header(header::ACCEPT_ENCODING, "gzip");
            if let Some(token) = &token {
                request = request.header(&self.header, token);
            }
            if let Some(tag) = known.and_then(|known| known.tag.as_ref()) {
                request = request.header(header::IF_NONE_MATCH, tag);
            }
            if let Some(modified) = known.and_then(|known| known.modified.as_ref()) {
                request = request.header(header::IF_MODIFIED_SINCE, modified);
            }
            let response = request.send().await.map_err(|error| silent(&at, &error))?;
            let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(to) = response.headers().get(header::LOCATION).filter(|_| moved) else {
                return Ok((at, response));
            };
            at = at.refer(&String::from_utf8_lossy(to.as_bytes()))?;
        }
        Err(WebError::Redirects { address: address.to_string() })
    }
}

/// One poll: pages until there is none.
#[derive(Debug)]
pub struct Poll<'a> {
    feed: &'a mut WebFeed,
    next: Option<Address>,
    number: usize,
    /// Of all pages together.
    bytes: usize,
    /// Addresses of this poll, so that none is asked twice.
    asked: BTreeSet<String>,
    /// A hash of the page before.
    before: Option<u64>,
}

impl Poll<'_> {
    /// The next page and its number, from 0; `None` behind the last.
    ///
    /// # Errors
    /// The page cannot be had: the poll is over.
    pub async fn page(&mut self) -> Result<Option<(usize, Page)>, WebError> {
        let Some(address) = self.next.take() else {
            self.feed.known.truncate(self.number);
            return Ok(None);
        };
        let number = self.number;
        let nonsense = |what: String| WebError::Nonsense { address: address.to_string(), what };
        if number >= MAX_PAGES {
            return Err(WebError::TooMuch { address: address.to_string(), what: "more pages".to_owned() });
        }
        if !self.asked.insert(address.url().to_string()) {
            return Err(nonsense(format!("a page {} that leads back to one before", number + 1)));
        }
        // Pages have shifted: what is known is of another one.
        if self.feed.known.get(number).is_some_and(|known| known.address != address) {
            self.feed.known.truncate(number);
        }
        let known = self.feed.known.get(number);
        let (at, response) = self.feed.ask(&address, known).await?;
        self.number += 1;
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED {
            let known = known.filter(|known| known.tag.is_some() || known.modified.is_some());
            let known =
                known.ok_or_else(|| nonsense("304, though it was asked without a condition".to_owned()))?;
            self.next = known.next.clone();
            return Ok(Some((number, Page::Same)));
        }
        if !matches!(status, StatusCode::OK | StatusCode::NO_CONTENT) {
            let retry_after = retry_after(response.headers(), SystemTime::now());
            return Err(WebError::Status { address: at.to_string(), status: status.as_u16(), retry_after });
        }
        let headers = response.headers().clone();
        let (bytes, next) = self.read(&at, response, head(&headers)).await?;
        let hash = hash(&bytes);
        if !bytes.is_empty() && self.before.replace(hash) == Some(hash) {
            return Err(nonsense(format!("the same page {} again: it does not know `offset`", number + 1)));
        }
        self.next = next.clone();
        let known = Known {
            address,
            tag: headers.get(header::ETAG).cloned(),
            modified: headers.get(header::LAST_MODIFIED).cloned(),
            next,
        };
        self.feed.known.truncate(number);
        self.feed.known.push(known);
        Ok(Some((number, Page::News(bytes))))
    }

    /// The body, unpacked, and the page behind it.
    async fn read(
        &mut self,
        at: &Address,
        mut response: Response,
        head: Head,
    ) -> Result<(Vec<u8>, Option<Address>), WebError> {
        let too_much = |what: &str| WebError::TooMuch { address: at.to_string(), what: what.to_owned() };
        if response.content_length().is_some_and(|length| length > MAX_PAGE as u64) {
            return Err(too_much("a larger page"));
        }
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let mut packed = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| silent(at, &error))? {
            if packed.len() + chunk.len() > MAX_PAGE {
                return Err(too_much("a larger page"));
            }
            packed.extend_from_slice(&chunk);
        }
        let from = at.clone();
        // A page may take a tenth of a second to unpack.
        let unpacked = tokio::task::spawn_blocking(move || {
            let bytes = unpacked(packed, encoding.as_deref());
            bytes.map(|bytes| {
                let next = pages::next(&from, &head, &bytes);
                (bytes, next)
            })
        });
        let Ok(unpacked) = unpacked.await else {
            return Err(WebError::Silent { address: at.to_string(), why: "this process stops".to_owned() });
        };
        let (bytes, next) = unpacked.map_err(|why| match why {
            Unreadable::TooLarge => too_much("a larger page, unpacked"),
            Unreadable::Nonsense(what) => WebError::Nonsense { address: at.to_string(), what },
        })?;
        self.bytes += bytes.len();
        if self.bytes > MAX_POLL {
            return Err(too_much("more bytes on all pages together"));
        }
        Ok((bytes, next?))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn head(headers: &HeaderMap) -> Head {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let total = headers.get("x-total-count").and_then(|value| text(value).trim().parse().ok());
    Head { links: headers.get_all(header::LINK).iter().map(text).collect(), total }
}

/// `Retry-After`, in seconds or as a time (RFC 9110 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}

fn silent(address: &Address, error: &reqwest::Error) -> WebError {
    WebError::Silent { address: address.to_string(), why: no_answer::why(error) }
}

/// TLS with the certificate authorities of a file, or of the system.
fn tls(roots: Option<&Path>) -> Result<ClientConfig, WebError> {
    let mut store = RootCertStore::empty();
    let of = || roots.map_or("the system".to_owned(), |path| path.display().to_string());
    let wrong = |why: String| WebError::Roots { of: of(), why };
    match roots {
        Some(path) => {
            let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
            let mut file = BufReader::new(file.take(MAX_ROOTS));
            for certificate in CertificateDer::pem_reader_iter(&mut file) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                store.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(wrong("there is no certificate in it; write them as PEM".to_owned()));
            }
        }
        // A system without any is found out when https is asked for: http needs none.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| wrong(error.to_string()))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_how_long_to_wait() {
        let now = httpdate::parse_http_date("Sat, 01 Mar 2025 10:00:00 GMT").unwrap();
        let check = |text: &str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers, now).map(|wait| wait.as_secs()), expected, "{text}");
        };
        check("120", Some(120));
        check("Sat, 01 Mar 2025 10:02:00 GMT", Some(120));
        check("Sat, 01 Mar 2025 09:00:00 GMT", None);
        check("soon", None);
        check("-5", None);
    }
}
