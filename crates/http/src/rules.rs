//! Access rules: decisions on who may ask what from where, over a request's header alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use subtle::ConstantTimeEq as _;
use voltmesh_identity::read_token;

use crate::{Authority, Host, Refusal};

/// Shortest token, in bytes.
const MIN_TOKEN: usize = 16;

/// Largest file of a token, in bytes.
const MAX_TOKEN: usize = 4096;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names of an interface beside the address where it listens, and the pages that may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    hosts: Vec<Authority>,
    origins: BTreeSet<Origin>,
}

/// A name in the configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of `http.hosts`.
    #[error("http.hosts: {0:?} is no host or host:port, such as \"fog-1.example\" or \"[2001:db8::1]:9100\"")]
    Host(String),
    /// Of `http.origins`.
    #[error("http.origins: {0:?} is no origin, such as \"https://fleet.example\"")]
    Origin(String),
}

impl NameError {
    /// The key of a role's configuration that holds the name.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Host(_) => "http.hosts",
            Self::Origin(_) => "http.origins",
        }
    }
}

impl Names {
    /// `http.hosts` and `http.origins`. A host without a port holds for every port.
    pub fn parse<S: AsRef<str>>(hosts: &[S], origins: &[S]) -> Result<Self, NameError> {
        let host = |text: &S| text.as_ref().parse().map_err(|()| NameError::Host(text.as_ref().to_owned()));
        let origin = |text: &S| {
            Origin::parse(text.as_ref()).ok_or_else(|| NameError::Origin(text.as_ref().to_owned()))
        };
        Ok(Self {
            hosts: hosts.iter().map(host).collect::<Result<_, _>>()?,
            origins: origins.iter().map(origin).collect::<Result<_, _>>()?,
        })
    }

    /// The same with the names of a certificate, which hold for every port. Patterns are left out.
    pub fn with_certificate(mut self, names: &[String]) -> Self {
        let host = |name: &String| match name.parse::<IpAddr>() {
            Ok(address) => Some(Host::address(address)),
            Err(_) => name.parse().ok(),
        };
        self.hosts.extend(names.iter().filter_map(host).map(|host| Authority { host, port: None }));
        self
    }
}

/// Scheme, host and port of a page (RFC 6454); the port is the scheme's if none is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    secure: bool,
    host: Host,
    port: u16,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        Some(Self::of(secure, rest.parse().ok()?))
    }

    fn of(secure: bool, authority: Authority) -> Self {
        let port = authority.port.unwrap_or(if secure { 443 } else { 80 });
        Self { secure, host: authority.host, port }
    }
}

/// A secret that requests must carry.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

/// A token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Write it.
    #[error("{path}: the token cannot be read")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: Box<voltmesh_identity::Error>,
    },
    /// Write another one.
    #[error(
        "{path} holds {found}, want {MIN_TOKEN} to {MAX_TOKEN} visible ASCII characters, such as `openssl rand -hex 32` makes"
    )]
    Content {
        /// Which file.
        path: String,
        /// What is wrong.
        found: String,
    },
}

impl Token {
    /// The first and only line of a file; others than its owner should not be able to read it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let name = path.display().to_string();
        let text = read_token(path)
            .map_err(|source| TokenError::Read { path: name.clone(), source: source.into() })?;
        if text.len() > MAX_TOKEN {
            return Err(TokenError::Content { path: name, found: format!("{} bytes", text.len()) });
        }
        let token = text.trim();
        if token.len() < MIN_TOKEN {
            return Err(TokenError::Content { path: name, found: format!("{} characters", token.len()) });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Content { path: name, found: "other characters".to_owned() });
        }
        Ok(Self::new(token))
    }

    /// A token as it is.
    pub fn new(token: &str) -> Self {
        Self(token.as_bytes().into())
    }

    /// In constant time, but for the length.
    fn is(&self, given: &[u8]) -> bool {
        given.ct_eq(&self.0).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// For what a token is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Every request but to these paths.
    Everywhere {
        /// Answered to everybody.
        but: &'static [&'static str],
    },
    /// Requests that may change something.
    Changes,
}

/// Requirements of a server on every request.
#[derive(Clone, Debug)]
pub struct Rules {
    names: Names,
    token: Option<(Token, Asked)>,
    types: &'static [&'static str],
}

impl Rules {
    /// Rules without a token; a request that changes something must be JSON.
    pub fn new(names: Names) -> Self {
        Self { names, token: None, types: &["application/json"] }
    }

    /// The same with a token, if there is one.
    pub fn with_token(self, token: Option<Token>, asked: Asked) -> Self {
        Self { token: token.map(|token| (token, asked)), ..self }
    }

    /// The same with other body types of requests that change something. A form's types and plain text are never among them: a page
    /// of any site can send these without asking.
    pub fn with_types(self, types: &'static [&'static str]) -> Self {
        assert!(
            types.iter().all(|kind| !SIMPLE.contains(kind)),
            "{types:?} has a type that any page may send"
        );
        Self { types, ..self }
    }

    /// Whether a request may be handled that came in at `local`, over TLS or not. `listens` is the address that was bound.
    pub(crate) fn judge(
        &self,
        request: &Parts,
        listens: SocketAddr,
        local: SocketAddr,
        secure: bool,
    ) -> Result<(), Refusal> {
        let host = named_host(request)?;
        if !self.is_own(&host, listens, local) {
            return Err(Refusal::ForeignHost { host: host.to_string() });
        }
        self.check_origin(&request.headers, host, secure)?;
        let changes = match request.method {
            Method::GET | Method::HEAD | Method::OPTIONS => false,
            Method::POST | Method::PUT | Method::DELETE | Method::PATCH => true,
            _ => return Err(Refusal::Method(request.method.to_string())),
        };
        if let Some((token, asked)) = &self.token {
            let asked = match asked {
                Asked::Everywhere { but } => !but.contains(&request.uri.path()),
                Asked::Changes => changes,
            };
            if asked
                && !only(&request.headers, header::AUTHORIZATION).is_some_and(|given| carries(token, given))
            {
                return Err(Refusal::Token);
            }
        }
        let known = |kind: &str| self.types.iter().any(|known| kind.eq_ignore_ascii_case(known));
        if changes && !content_type(&request.headers).is_some_and(known) {
            return Err(Refusal::ContentType(self.types));
        }
        Ok(())
    }

    fn is_own(&self, named: &Authority, listens: SocketAddr, local: SocketAddr) -> bool {
        let configured =
            |own: &Authority| own.host == named.host && (own.port.is_none() || own.port == named.port);
        if self.names.hosts.iter().any(configured) {
            return true;
        }
        // Without a port, a name cannot be mistaken for another site either: what counts is whose name it is.
        let port = named.port.is_none_or(|port| port == listens.port());
        let own = match &named.host {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => {
                let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                // The address that this very connection was made to, where all are listened on.
                let known = [listens, local].iter().any(|own| own.ip().to_canonical() == *address);
                loopback.contains(address) || known && !address.is_unspecified()
            }
        };
        port && own
    }

    /// Browsers say which page asks (Fetch 3.2, Fetch Metadata 2.3); other programs say nothing.
    fn check_origin(&self, headers: &HeaderMap, host: Authority, secure: bool) -> Result<(), Refusal> {
        let foreign = |origin: &str| Refusal::ForeignOrigin { origin: origin.chars().take(100).collect() };
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let text = origin.to_str().map_err(|_| foreign("an unreadable origin"))?;
            let origin =
                Origin::parse(text).filter(|_| origins.next().is_none()).ok_or_else(|| foreign(text))?;
            if self.names.origins.contains(&origin) {
                return Ok(());
            }
            if origin != Origin::of(secure, host) {
                return Err(foreign(text));
            }
        }
        // `none`: typed into the address bar. `same-site` is another port or sibling.
        let own = |site: &axum::http::HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
        if headers.get_all(SEC_FETCH_SITE).iter().all(own) { Ok(()) } else { Err(foreign("another site")) }
    }
}

/// Types that a form can send, so without asking first (Fetch 2.2.2).
const SIMPLE: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// The one host that a request names, in its target and its field alike.
fn named_host(request: &Parts) -> Result<Authority, Refusal> {
    let mut fields = request.headers.get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().map_err(|_| Refusal::Host("names one in other characters"))?,
        (None, _) => return Err(Refusal::Host("names none")),
        (Some(_), Some(_)) => return Err(Refusal::Host("names several")),
    };
    let host: Authority = field.parse().map_err(|()| Refusal::Host("names none that can be read"))?;
    match request.uri.authority() {
        // RFC 9112 3.2.2: an absolute target counts, not the field. Two that differ are an attempt.
        Some(target) if target.as_str().parse() != Ok(host.clone()) => {
            Err(Refusal::Host("names another one in its target"))
        }
        _ => Ok(host),
    }
}

/// A field's value, if there is exactly one.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).map(axum::http::HeaderValue::as_bytes)
}

fn carries(token: &Token, given: &[u8]) -> bool {
    let (scheme, rest) = given.split_at(given.len().min(7));
    scheme.eq_ignore_ascii_case(b"bearer ") && token.is(rest)
}

/// The type without its parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = std::str::from_utf8(only(headers, header::CONTENT_TYPE)?).ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}
