//! Answers to what is refused: `application/problem+json` (RFC 9457).

use axum::body::{Body, to_bytes};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Longest text of a refusal by others that is kept.
const MAX_TEXT: usize = 4096;

/// The one error body of all interfaces: `application/problem+json` (RFC 9457) with `status`, `title`, `detail`, and `detail` once
/// more as `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl Problem {
    const TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

    /// A problem with its reason.
    pub fn new(status: StatusCode, detail: impl std::fmt::Display) -> Self {
        Self { status, detail: detail.to_string() }
    }

    /// As JSON.
    pub fn body(&self) -> String {
        let title = self.status.canonical_reason();
        json!({ "status": self.status.as_u16(), "title": title, "detail": self.detail, "error": self.detail })
            .to_string()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, Self::TYPE)], self.body()).into_response()
    }
}

/// Reason why a request or connection is refused before any handler sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RFC 9112 3.2: exactly one, well-formed.
    #[error("a request must name one host, as in `Host: 127.0.0.1:9100`; this one {0}")]
    Host(&'static str),
    /// Another host: DNS rebinding, or a name that the configuration lacks.
    #[error("{host} is no name of this interface; if it should be, add it to http.hosts")]
    ForeignHost {
        /// As the request had it.
        host: String,
    },
    /// Another site's page asked.
    #[error(
        "requests from pages of {origin} are refused; if they should be answered, add it to http.origins"
    )]
    ForeignOrigin {
        /// As the request had it.
        origin: String,
    },
    /// Not TRACE, CONNECT or invented ones.
    #[error("the method {0} is not served")]
    Method(String),
    /// A type that pages of other sites cannot send without asking.
    #[error("a request that changes something must have a body type, one of: {}", .0.join(", "))]
    ContentType(&'static [&'static str]),
    /// No token, or another one.
    #[error("want Authorization: Bearer <token>, with the content of the file that http.token_file names")]
    Token,
    /// Too large.
    #[error("a body may have at most {0} bytes")]
    TooLarge(usize),
    /// The body did not come.
    #[error("the body has not come within {0} s")]
    SlowBody(u64),
    /// The handler did not answer.
    #[error("there is no answer within {0} s; ask again later, or for less")]
    SlowAnswer(u64),
    /// All places are at work.
    #[error("all connections are in use; ask again in a second")]
    Full,
}

impl Refusal {
    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::BAD_REQUEST,
            Self::ForeignHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin { .. } => StatusCode::FORBIDDEN,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            Self::SlowAnswer(_) | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer, after which the connection ends where more of the request may follow.
    pub(crate) fn response(&self) -> Response {
        let mut response = Problem::new(self.status(), self).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Token => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::SlowBody(_) | Self::TooLarge(_) | Self::SlowAnswer(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }

    /// What is written to a connection that gets no place.
    pub(crate) fn raw(&self) -> String {
        raw(&Problem::new(self.status(), self), "Retry-After: 1\r\n")
    }
}

/// A problem as it is written to a connection that ends, where no route answers.
pub(crate) fn raw(problem: &Problem, fields: &str) -> String {
    let body = problem.body();
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n{fields}Connection: close\r\n\r\n{body}",
        problem.status.as_u16(),
        problem.status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
}

/// Headers for browsers in every answer. A page that is served may set its own policy.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Gives an answer its headers, and every error the one body.
pub(crate) async fn finish(response: Response) -> Response {
    let mut response = if is_plain_error(&response) { problem_of(response).await } else { response };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// An error of the router or of an extractor: text or nothing.
fn is_plain_error(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    (status.is_client_error() || status.is_server_error())
        && kind.is_none_or(|kind| kind.starts_with(b"text/plain"))
}

async fn problem_of(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let detail = match (text.trim(), parts.status) {
        ("", StatusCode::NOT_FOUND) => "there is nothing at this path".to_owned(),
        ("", StatusCode::METHOD_NOT_ALLOWED) => "this path does not know this method".to_owned(),
        ("", status) => status.canonical_reason().unwrap_or("it failed").to_owned(),
        (text, _) => text.to_owned(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, Problem::TYPE);
    Response::from_parts(parts.clone(), Body::from(Problem::new(parts.status, detail).body()))
}
