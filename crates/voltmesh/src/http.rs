//! The HTTP client of the command line: our roles' loopback interfaces, answers bounded.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use voltmesh_identity::read_token;

/// Largest answer that is read: a proof, a block, a status or a page of records is far smaller.
const MAX_ANSWER: usize = 64 << 20;

/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest silence of an interface that sends events: it sends something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Longest event, with what is read beyond it.
const MAX_EVENT: usize = 1 << 20;

/// A client that asks our own interfaces.
#[derive(Clone)]
pub struct Http {
    answers: reqwest::Client,
    /// Without a limit on the whole answer, which never ends.
    events: reqwest::Client,
    /// For what changes something.
    token: Option<String>,
}

/// Environment variable that names a file with the bearer token of a fog node's `http.token_file`.
const TOKEN_FILE: &str = "VOLTMESH_TOKEN_FILE";

/// The interface answered, with a refusal.
#[derive(Debug)]
pub struct Refused {
    url: String,
    /// HTTP status.
    pub status: u16,
    why: String,
}

impl Refused {
    /// Whether what was asked for can never be.
    pub fn is_final(&self) -> bool {
        self.status == 422
    }

    /// The reason that the interface gives.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answers {}: {}", self.url, self.status, self.why)
    }
}

impl std::error::Error for Refused {}

impl Http {
    /// A client without proxies: what it asks is on this machine or named by the user.
    pub fn new() -> Result<Self> {
        let builder = || reqwest::Client::builder().no_proxy().connect_timeout(TIMEOUT);
        let made = "cannot make an HTTP client";
        let token = std::env::var_os(TOKEN_FILE).map(|path| {
            let text = read_token(Path::new(&path));
            text.map(|text| text.trim().to_owned())
                .with_context(|| format!("{} (of {TOKEN_FILE}) cannot be read", path.display()))
        });
        Ok(Http {
            answers: builder().timeout(TIMEOUT).build().context(made)?,
            events: builder().read_timeout(SILENCE).build().context(made)?,
            token: token.transpose()?,
        })
    }

    /// The same with this token for what changes something.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Http { token: Some(token.to_owned()), ..self }
    }

    /// `GET http://address/path`.
    pub async fn get(&self, address: SocketAddr, path: &str) -> Result<Vec<u8>> {
        self.get_url(&format!("http://{address}{path}"), None).await
    }

    /// As [`Self::get`], for what may be larger than other answers: at most `limit` bytes.
    pub async fn get_up_to(&self, address: SocketAddr, path: &str, limit: usize) -> Result<Vec<u8>> {
        let url = format!("http://{address}{path}");
        bounded(&url, self.answers.get(&url).send().await, limit).await
    }

    /// `GET url`, with a bearer token if the interface asks for one.
    pub async fn get_url(&self, url: &str, token: Option<&str>) -> Result<Vec<u8>> {
        let mut request = self.answers.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(url, request.send().await).await
    }

    /// Events that `GET http://address/path` answers.
    pub async fn events(&self, address: SocketAddr, path: &str) -> Result<Events> {
        let url = format!("http://{address}{path}");
        let response = self.events.get(&url).send().await;
        let response = match response {
            Ok(response) if response.status().is_success() => response,
            refused => return answer(&url, refused).await.and_then(|_| bail!("{url} sends no events")),
        };
        Ok(Events { url, response, read: Vec::new() })
    }

    /// `POST http://address/path` with a body of bytes, and with the token of [`TOKEN_FILE`] if there is one.
    pub async fn post(&self, address: SocketAddr, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let url = format!("http://{address}{path}");
        let request = self.answers.post(&url).body(body);
        self.change(&url, request).await
    }

    /// `DELETE http://address/path`, with the token of [`TOKEN_FILE`] if there is one.
    pub async fn delete(&self, address: SocketAddr, path: &str) -> Result<Vec<u8>> {
        let url = format!("http://{address}{path}");
        let request = self.answers.delete(&url);
        self.change(&url, request).await
    }

    /// The interface refuses changes by forms, so the type says that this is none.
    async fn change(&self, url: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let mut request = request.header("content-type", "application/octet-stream");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        answer(url, request.send().await).await
    }
}

/// Server-sent events, one after the other.
pub struct Events {
    url: String,
    response: reqwest::Response,
    read: Vec<u8>,
}

impl Events {
    /// The data of the next event; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(event) = take_event(&mut self.read)? {
                return Ok(Some(event));
            }
            let chunk = self.response.chunk().await;
            let Some(chunk) = chunk.with_context(|| format!("{} stopped sending", self.url))? else {
                return Ok(None);
            };
            self.read.extend_from_slice(&chunk);
            if self.read.len() > MAX_EVENT {
                bail!("{} sends an event of more than {MAX_EVENT} bytes", self.url);
            }
        }
    }
}

/// Takes the first whole line with data from the front of what was read. Our interfaces send one such line an event.
fn take_event(read: &mut Vec<u8>) -> Result<Option<String>> {
    while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = read.drain(..=end).collect();
        let line = std::str::from_utf8(&line).context("an event is not text")?.trim_end();
        if let Some(data) = line.strip_prefix("data:") {
            return Ok(Some(data.trim_start().to_owned()));
        }
    }
    Ok(None)
}

async fn answer(url: &str, response: reqwest::Result<reqwest::Response>) -> Result<Vec<u8>> {
    bounded(url, response, MAX_ANSWER).await
}

async fn bounded(url: &str, response: reqwest::Result<reqwest::Response>, limit: usize) -> Result<Vec<u8>> {
    let mut response = response.with_context(|| format!("no answer from {url}; is the process running?"))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.with_context(|| format!("{url} stopped in the middle of its answer"))?
    {
        if body.len() + chunk.len() > limit {
            bail!("{url} answers with more than {limit} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        let why = reason(&body);
        return Err(Refused { url: url.to_owned(), status: status.as_u16(), why }.into());
    }
    Ok(body)
}

/// What a refusal says: our interfaces answer with a problem whose `detail` is also its `error`.
fn reason(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    match json.as_ref().and_then(|json| json["error"].as_str()) {
        Some(error) => error.to_owned(),
        None => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_any_pieces() {
        let stream = b"id: 7\ndata: {\"height\":7}\n\n:\n\ndata:8\r\n\nda";
        for size in 1..stream.len() {
            let (mut read, mut events) = (Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                read.extend_from_slice(piece);
                while let Some(event) = take_event(&mut read).expect("text") {
                    events.push(event);
                }
            }
            assert_eq!(events, ["{\"height\":7}", "8"]);
            assert_eq!(read, b"da");
        }
        assert!(take_event(&mut b"data: \xff\n".to_vec()).is_err());
    }

    #[test]
    fn a_refusal_says_why() {
        assert_eq!(reason(br#"{"error":"block 9 is not final here"}"#), "block 9 is not final here");
        assert_eq!(reason(b" not found\n"), "not found");
    }
}
