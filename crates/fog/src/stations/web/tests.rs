//! A feed at an address, asked on loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

use super::*;

/// What a publisher was asked.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    headers: HeaderMap,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A publisher that answers by a rule, and what it was asked.
struct Publisher {
    base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Publisher {
    async fn new(answer: impl Fn(&str, &Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (seen, own, answer) = (asked.clone(), base.clone(), Arc::new(answer));
        let handler = move |request: Request| {
            let path = request.uri().path_and_query().map_or(String::new(), ToString::to_string);
            let asked = Asked { path, headers: request.headers().clone() };
            let response = answer(&own, &asked);
            seen.lock().unwrap().push(asked);
            async move { response }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { base, asked }
    }

    fn feed(&self, path: &str, options: Options) -> WebFeed {
        WebFeed::new(Address::parse(&format!("{}{path}", self.base)).unwrap(), options).unwrap()
    }

    fn paths(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap()).into_iter().map(|asked| asked.path).collect()
    }
}

/// One poll: pages as text, `=` for one that is the same.
async fn poll(feed: &mut WebFeed) -> Result<Vec<String>, String> {
    let mut poll = feed.poll();
    let mut found = Vec::new();
    loop {
        match poll.page().await {
            Ok(Some((number, page))) => {
                assert_eq!(number, found.len());
                found.push(match page {
                    Page::News(bytes) => String::from_utf8(bytes).unwrap(),
                    Page::Same => "=".to_owned(),
                });
            }
            Ok(None) => return Ok(found),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn options() -> Options {
    Options { timeout_ms: 30_000, ..Options::default() }
}

/// A file with a token.
fn token(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("token");
    voltmesh_identity::write_private(&path, b"0123456789abcdef\n").unwrap();
    path
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    // Three pages: by `Link` as OCPI has them, by counting, by the document.
    let site = Publisher::new(|base, asked| {
        let offset: usize = asked.path.split("offset=").nth(1).map_or(0, |at| at.parse().unwrap());
        let more = offset < 4;
        let data = format!("[{offset},{}]", offset + 1);
        match asked.path.split('?').next() {
            Some("/link") if more => {
                let link = format!("<{base}/link?limit=2&offset={}>; rel=\"next\"", offset + 2);
                ([("link", link), ("x-total-count", "6".to_owned())], data).into_response()
            }
            Some("/count") => ([("x-total-count", "6")], data).into_response(),
            Some("/body") if more => {
                format!(r#"{{"next":"/body?offset={}","results":{data}}}"#, offset + 2).into_response()
            }
            _ => data.into_response(),
        }
    })
    .await;
    for path in ["/link?limit=2", "/count?limit=2", "/body"] {
        let found = poll(&mut site.feed(path, options())).await.unwrap();
        assert_eq!(found.len(), 3, "{path}: {found:?}");
        assert!(found[2].contains("[4,5]"), "{path}: {found:?}");
        assert_eq!(site.paths().len(), 3, "{path}");
    }
}

#[tokio::test]
async fn what_is_the_same_is_not_sent_again() {
    const MODIFIED: &str = "Sat, 01 Mar 2025 10:00:00 GMT";
    let second = Arc::new(Mutex::new("2"));
    let now = second.clone();
    let site = Publisher::new(move |_, asked| {
        let now = *now.lock().unwrap();
        match &*asked.path {
            "/one" if asked.header("if-none-match") == "\"a\"" => StatusCode::NOT_MODIFIED.into_response(),
            "/one" => ([("etag", "\"a\""), ("link", "</two>; rel=\"next\"")], "1").into_response(),
            _ if asked.header("if-modified-since") == MODIFIED && now == "2" => {
                StatusCode::NOT_MODIFIED.into_response()
            }
            _ => ([("last-modified", MODIFIED)], now).into_response(),
        }
    })
    .await;
    let mut feed = site.feed("/one", options());
    assert_eq!(poll(&mut feed).await.unwrap(), ["1", "2"]);
    assert_eq!(poll(&mut feed).await.unwrap(), ["=", "="]);
    *second.lock().unwrap() = "3";
    assert_eq!(poll(&mut feed).await.unwrap(), ["=", "3"]);
    assert_eq!(site.paths().len(), 6);
}

#[tokio::test]
async fn the_token_goes_with_every_request_and_to_no_other_host() {
    let folder = tempfile::tempdir().unwrap();
    let site = Publisher::new(|base, asked| match &*asked.path {
        "/moved" => (StatusCode::FOUND, [("location", "/here")]).into_response(),
        // The same machine by another name is another host.
        "/away" => {
            let away = base.replace("127.0.0.1", "localhost") + "/here";
            (StatusCode::FOUND, [("location", away)]).into_response()
        }
        "/next" => {
            let away = base.replace("127.0.0.1", "localhost");
            ([("link", format!("<{away}/here>; rel=\"next\""))], "1").into_response()
        }
        "/round" => (StatusCode::FOUND, [("location", "/round")]).into_response(),
        _ => "here".into_response(),
    })
    .await;
    let with_token = || Options { token_file: Some(token(&folder)), scheme: "Token".to_owned(), ..options() };
    assert_eq!(poll(&mut site.feed("/moved", with_token())).await.unwrap(), ["here"]);
    for asked in site.asked.lock().unwrap().drain(..) {
        assert_eq!(asked.header("authorization"), "Token 0123456789abcdef", "{}", asked.path);
    }
    let custom = Options { header: "x-api-key".to_owned(), scheme: String::new(), ..with_token() };
    poll(&mut site.feed("/here", custom)).await.unwrap();
    assert_eq!(site.asked.lock().unwrap()[0].header("x-api-key"), "0123456789abcdef");
    site.paths();
    for (path, words, asked) in
        [("/away", "another host", 1), ("/next", "another host", 1), ("/round", "more than 5", 6)]
    {
        let said = poll(&mut site.feed(path, with_token())).await.unwrap_err();
        assert!(said.contains(words) && !said.contains("0123456789"), "{path}: {said}");
        assert_eq!(site.paths().len(), asked, "{path}");
    }
    let clear = Address::parse("http://cpo.example/").unwrap();
    let said = WebFeed::new(clear, with_token()).unwrap_err().to_string();
    assert!(said.contains("in the clear"), "{said}");
    // A token that is replaced is sent from then on; one that is gone stops the feed.
    let mut feed = site.feed("/here", with_token());
    voltmesh_identity::write_private(&token(&folder), b"fedcba9876543210").unwrap();
    poll(&mut feed).await.unwrap();
    assert_eq!(site.asked.lock().unwrap()[0].header("authorization"), "Token fedcba9876543210");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    assert!(poll(&mut feed).await.unwrap_err().contains("token"));
}

#[tokio::test]
async fn a_publisher_that_fails_is_told_with_a_remedy() {
    let site = Publisher::new(|_, asked| match &*asked.path {
        "/401" => StatusCode::UNAUTHORIZED.into_response(),
        "/404" => StatusCode::NOT_FOUND.into_response(),
        "/429" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "120")]).into_response(),
        "/500?key=secret" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/304" => StatusCode::NOT_MODIFIED.into_response(),
        "/br" => ([("content-encoding", "br")], "x").into_response(),
        // It does not know `offset`.
        _ => ([("x-total-count", "9")], "[1,2]").into_response(),
    })
    .await;
    for (path, words) in [
        ("/401", "401: it does not take the token"),
        ("/404", "404: there is no such feed"),
        ("/429", "429: it is asked too often"),
        ("/500?key=secret", "/500 answers 500"),
        ("/304", "without a condition"),
        ("/br", "\"br\""),
        ("/again", "the same page 2 again"),
    ] {
        let said = poll(&mut site.feed(path, options())).await.unwrap_err();
        assert!(said.contains(words) && !said.contains("secret"), "{path}: {said}");
    }
    let mut feed = site.feed("/429", options());
    let error = feed.poll().page().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut nobody =
        WebFeed::new(Address::parse(&format!("http://{unused}/?key=secret")).unwrap(), options()).unwrap();
    let said = poll(&mut nobody).await.unwrap_err();
    assert!(said.contains("did not answer") && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_slow_publisher_and_a_huge_answer_have_bounds() {
    let site = Publisher::new(|_, asked| {
        let kilobyte = || futures::stream::iter(vec![Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1024]))]);
        match &*asked.path {
            // Its body never ends, and hardly begins.
            "/slow" => Body::from_stream(kilobyte().chain(futures::stream::pending())).into_response(),
            "/said" => {
                let body = Body::from_stream(kilobyte().chain(futures::stream::pending()));
                ([("content-length", (MAX_PAGE + 1).to_string())], body).into_response()
            }
            _ => {
                let block = Bytes::from(vec![b' '; 1 << 20]);
                let blocks = std::iter::repeat_n(block, (MAX_PAGE >> 20) + 2).map(Ok::<_, std::io::Error>);
                Body::from_stream(futures::stream::iter(blocks)).into_response()
            }
        }
    })
    .await;
    for (path, timeout_ms, words) in [
        ("/slow", 200, "not in time"),
        ("/said", 30_000, "a larger page"),
        ("/huge", 120_000, "a larger page"),
    ] {
        let said = poll(&mut site.feed(path, Options { timeout_ms, ..options() })).await.unwrap_err();
        assert!(said.contains(words), "{path}: {said}");
    }
}

#[tokio::test]
async fn answers_of_gzip_are_asked_for_and_unpacked() {
    use std::io::Write as _;
    let site = Publisher::new(|_, asked| {
        assert!(asked.header("accept-encoding").contains("gzip"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"[1]").unwrap();
        ([("content-encoding", "gzip")], packed.finish().unwrap()).into_response()
    })
    .await;
    assert_eq!(poll(&mut site.feed("/", options())).await.unwrap(), ["[1]"]);
}

/// A server of TLS for one request, with a certificate of an authority of its own.
async fn secure(pki: &voltmesh_identity::Pki) -> String {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let identity = voltmesh_identity::Identity::new(voltmesh_identity::Role::Fog, "site").unwrap();
    let issued = pki.issue(&identity, &["localhost".to_owned()], 1).unwrap();
    let file = |name: &str| issued.folder.join(name);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(file("tls.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("tls.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}/feed")
}

#[tokio::test]
async fn authorities_are_those_of_the_system_or_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let pki = voltmesh_identity::Pki::init(&folder.path().join("pki")).unwrap();
    let address = Address::parse(&secure(&pki).await).unwrap();
    let with_roots = Options { roots: Some(pki.ca_path()), token_file: Some(token(&folder)), ..options() };
    let mut feed = WebFeed::new(address.clone(), with_roots).unwrap();
    assert_eq!(poll(&mut feed).await.unwrap(), ["[]"]);
    // The system does not know this one.
    let said = poll(&mut WebFeed::new(address.clone(), options()).unwrap()).await.unwrap_err();
    assert!(said.contains("did not answer"), "{said}");
    for (name, content, words) in
        [("none", None, "No such file"), ("empty", Some("x"), "no certificate in it")]
    {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let said = WebFeed::new(address.clone(), Options { roots: Some(path), ..options() })
            .unwrap_err()
            .to_string();
        assert!(said.contains(words), "{said}");
    }
}
