//! The HTTP client of the command line: our roles' loopback interfaces, answers bounded.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Largest answer that is read: a proof, a block, a status or a page of records is far smaller.
const MAX_ANSWER: usize = 64 << 20;

/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that asks our own interfaces.
#[derive(Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// A client without proxies: what it asks is on this machine or named by the user.
    pub fn new() -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Http(client))
    }

    /// `GET http://address/path`.
    pub async fn get(&self, address: SocketAddr, path: &str) -> Result<Vec<u8>> {
        self.get_url(&format!("http://{address}{path}"), None).await
    }

    /// `GET url`, with a bearer token if the interface asks for one.
    pub async fn get_url(&self, url: &str, token: Option<&str>) -> Result<Vec<u8>> {
        let mut request = self.0.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(url, request.send().await).await
    }

    /// `POST http://address/path` with a body of bytes.
    pub async fn post(&self, address: SocketAddr, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let url = format!("http://{address}{path}");
        answer(&url, self.0.post(&url).body(body).send().await).await
    }
}

async fn answer(url: &str, response: reqwest::Result<reqwest::Response>) -> Result<Vec<u8>> {
    let mut response = response.with_context(|| format!("no answer from {url}; is the process running?"))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.with_context(|| format!("{url} stopped in the middle of its answer"))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            bail!("{url} answers with more than {MAX_ANSWER} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        bail!("{url} answers {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}
