//! Distances and times by road, asked of an OSRM server (HTTP API v1, service `table`).
//!
//! Provided: bounded time, bounded answers, any number of destinations. Not provided: TLS, so the server belongs on this
//! machine or on a network that is trusted: it learns where vehicles are.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use voltmesh_stations::Position;

use crate::{Error, no_answer};

/// Destinations in one request: OSRM takes 100 places in a table if its `--max-table-size` is the default, and the origin is one.
const BATCH: usize = 99;

/// Largest answer that is read, in bytes: 100 destinations with their names and hints have about 20 kB.
const MAX_ANSWER: usize = 256 * 1024;

/// Seconds or metres beyond which a drive is none: twice around the Earth, or two years. Some servers write their largest integer where
/// they found no way.
const MAX_DRIVE: f64 = 8e7;

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Osrm {
    base: String,
    client: reqwest::Client,
}

/// What is read of an answer.
#[derive(Debug, Deserialize)]
struct Answer {
    code: String,
    #[serde(default)]
    message: String,
    /// Seconds from the origin to each place, the origin first; null where it found no way, for instance from one side of a one-way road.
    durations: Option<Vec<Vec<Option<f64>>>>,
    /// The same in metres.
    distances: Option<Vec<Vec<Option<f64>>>>,
    /// Cells of both, origin and place, that the server estimated as the crow flies.
    #[serde(default)]
    fallback_speed_cells: Option<Vec<(usize, usize)>>,
}

/// Drives to some places, as far as they were measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Kilometres and minutes, in the order of the places; `None` where the server does not say: a caller estimates.
    pub drives: Vec<Option<(f64, f64)>>,
    /// What the server said where it refused some of them, or answered with another table than was asked for.
    pub refusal: Option<String>,
}

impl Osrm {
    /// For a server at `http://host:port`, perhaps with a path before `/table`.
    ///
    /// # Errors
    /// Another kind of address.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, Error> {
        let wrong = |why: &str| Error::config(format!("stations.osrm: {url:?} {why}"));
        let parsed = reqwest::Url::parse(url).map_err(|error| wrong(&format!("is no URL: {error}")))?;
        if parsed.scheme() != "http" || parsed.host_str().is_none() {
            return Err(wrong("is not http://host:port"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(wrong("has more than a path"));
        }
        let client = reqwest::Client::builder().no_proxy().timeout(timeout).connect_timeout(timeout);
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| wrong(&format!("cannot be asked: {error}")))?;
        Ok(Self { base: parsed.as_str().trim_end_matches('/').to_owned(), client })
    }

    /// Drives from one place to others.
    ///
    /// # Errors
    /// No answer in time, or one that is none of OSRM.
    pub async fn table(&self, from: Position, to: &[Position]) -> Result<Table, Error> {
        let mut table = Table::default();
        for batch in to.chunks(BATCH) {
            match self.batch(from, batch).await?.read(batch.len()) {
                Ok(drives) => table.drives.extend(drives),
                Err(refusal) => {
                    table.drives.extend(vec![None; batch.len()]);
                    table.refusal.get_or_insert(refusal);
                }
            }
        }
        Ok(table)
    }

    async fn batch(&self, from: Position, to: &[Position]) -> Result<Answer, Error> {
        let mut url = format!("{}/table/v1/driving/", self.base);
        for (n, place) in std::iter::once(&from).chain(to).enumerate() {
            let separator = if n == 0 { "" } else { ";" };
            let _ = write!(url, "{separator}{:.6},{:.6}", place.longitude, place.latitude);
        }
        url.push_str("?sources=0&annotations=duration,distance");
        let silent = |error: reqwest::Error| routing(format!("did not answer: {}", no_answer::why(&error)));
        let mut response = self.client.get(&url).send().await.map_err(silent)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(routing(format!("answers with more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        // OSRM explains its refusals in JSON too.
        serde_json::from_slice(&body)
            .map_err(|error| routing(format!("answers {status} with what is no table: {error}")))
    }
}

impl Answer {
    /// The drives, or what the server says instead of them.
    fn read(self, places: usize) -> Result<Vec<Option<(f64, f64)>>, String> {
        if self.code != "Ok" {
            let text = |text: &str| text.chars().take(200).collect::<String>();
            let said = format!("the routing service refuses: {} {}", text(&self.code), text(&self.message));
            return Err(said.trim_end().to_owned());
        }
        let (Some(durations), Some(distances)) = (self.durations, self.distances) else {
            let why = "the routing service answers without durations or without distances; does its version know `annotations`?";
            return Err(why.to_owned());
        };
        let ([seconds], [metres]) = (&durations[..], &distances[..]) else {
            return Err("the routing service answers with another number of origins".to_owned());
        };
        if seconds.len() != places + 1 || metres.len() != places + 1 {
            return Err("the routing service answers with another number of destinations".to_owned());
        }
        let estimated = self.fallback_speed_cells.unwrap_or_default();
        let sane = |value: &f64| (0.0..MAX_DRIVE).contains(value);
        let pair = |(n, (s, m)): (usize, (&Option<f64>, &Option<f64>))| {
            let measured = !estimated.contains(&(0, n));
            Some(((*m).filter(sane)? / 1000.0, (*s).filter(sane)? / 60.0)).filter(|_| measured)
        };
        // The first is the origin itself.
        Ok(seconds.iter().zip(metres).enumerate().skip(1).map(pair).collect())
    }
}

fn routing(what: impl Into<String>) -> Error {
    Error::Routing { what: what.into() }
}

#[cfg(test)]
mod tests {
    use axum::extract::RawQuery;
    use axum::http::{StatusCode, Uri};
    use axum::response::IntoResponse as _;

    use super::*;

    const HERE: Position = Position { latitude: 53.5, longitude: -6.25 };

    /// A server that answers everything alike, or never; `echo` answers a table as long as what was asked.
    async fn server(answer: Option<(u16, String)>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = move |uri: Uri, RawQuery(query): RawQuery| {
            let answer = answer.clone();
            async move {
                assert_eq!(query.as_deref(), Some("sources=0&annotations=duration,distance"));
                let asked = uri.path().strip_prefix("/osrm/table/v1/driving/").expect("the service's path");
                assert!(asked.starts_with("-6.250000,53.500000;"), "{asked}");
                match answer {
                    None => std::future::pending().await,
                    Some((status, body)) if body == "echo" => {
                        let row: Vec<u32> = (0..asked.split(';').count() as u32).map(|n| n * 60).collect();
                        let body =
                            serde_json::json!({ "code": "Ok", "durations": [row], "distances": [row] });
                        (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
                    }
                    Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
                }
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
        format!("http://{address}/osrm/")
    }

    async fn ask(answer: Option<(u16, &str)>, places: usize) -> Result<Table, String> {
        let url = server(answer.map(|(status, body)| (status, body.to_owned()))).await;
        let patience = if answer.is_some() { Duration::from_secs(30) } else { Duration::from_millis(20) };
        let osrm = Osrm::new(&url, patience).unwrap();
        osrm.table(HERE, &vec![HERE; places]).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_table_has_kilometres_and_minutes() {
        let table = r#"{"code":"Ok","durations":[[0,90.0,null]],"distances":[[0,1500,7]],"sources":[{}]}"#;
        let drives = |answer: Result<Table, String>| {
            let table = answer.unwrap();
            assert_eq!(table.refusal, None);
            table.drives
        };
        assert_eq!(drives(ask(Some((200, table)), 2).await), [Some((1.5, 1.5)), None]);
        let many = drives(ask(Some((200, "echo")), BATCH + 2).await);
        assert_eq!((many.len(), many[0], many[BATCH]), (BATCH + 2, Some((0.06, 1.0)), Some((0.06, 1.0))));
        assert_eq!(drives(ask(None, 0).await), []);
        let none = r#"{"code":"Ok","durations":[[0,214748364.7,60]],"distances":[[0,1500,1000]]}"#;
        assert_eq!(drives(ask(Some((200, none)), 2).await), [None, Some((1.0, 1.0))]);
        // What the server estimated is not measured.
        let estimated = r#"{"code":"Ok","durations":[[0,90,60]],"distances":[[0,1500,1000]],"fallback_speed_cells":[[0,2]]}"#;
        assert_eq!(drives(ask(Some((200, estimated)), 2).await), [Some((1.5, 1.5)), None]);
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_named_and_not_measured() {
        let check = async |answer: (u16, &str), places: usize, words: &str| {
            let table = ask(Some(answer), places).await.unwrap();
            assert_eq!(table.drives, vec![None; places], "{words}");
            let said = table.refusal.unwrap();
            assert!(said.starts_with("the routing service ") && said.contains(words), "{said}");
        };
        let invalid = r#"{"code":"InvalidQuery","message":"Query string malformed"}"#;
        check((400, invalid), 2, "refuses: InvalidQuery Query").await;
        let segment =
            r#"{"code":"NoSegment","message":"Could not find a matching segment for coordinate 1"}"#;
        check((400, segment), BATCH + 1, "refuses: NoSegment Could not find").await;
        check((400, r#"{"code":"NoTable"}"#), 2, "refuses: NoTable").await;
        check((200, r#"{"code":"Ok"}"#), 2, "without durations or without distances").await;
        check((200, r#"{"code":"Ok","durations":[[0,1]],"distances":null}"#), 1, "without distances").await;
        let small = r#"{"code":"Ok","durations":[[0]],"distances":[[0]]}"#;
        check((200, small), 2, "another number of destinations").await;
        // More origins than were asked about.
        let square = r#"{"code":"Ok","durations":[[0,1],[1,0]],"distances":[[0,1],[1,0]]}"#;
        check((200, square), 1, "another number of origins").await;
    }

    #[tokio::test]
    async fn a_routing_service_that_fails_says_how() {
        let check = async |answer: Option<(u16, &str)>, words: &str| {
            let said = ask(answer, 2).await.unwrap_err();
            assert!(said.starts_with("the routing service ") && said.contains(words), "{said}");
        };
        check(Some((502, "<html>")), "answers 502 Bad Gateway with what is no table").await;
        check(Some((200, &" ".repeat(MAX_ANSWER + 1))), "more than 262144 bytes").await;
        check(None, "did not answer: not in time").await;
        let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let closed = Osrm::new(&format!("http://{unused}"), Duration::from_secs(5)).unwrap();
        let said = closed.table(HERE, &[HERE]).await.unwrap_err().to_string();
        assert!(said.contains("did not answer") && !said.contains("53.5"), "{said}");
    }

    #[test]
    fn only_plain_http_is_asked() {
        for url in ["https://router.example", "router.example:5000", "http://a/?b=c", ""] {
            assert!(Osrm::new(url, Duration::from_secs(1)).is_err(), "{url}");
        }
    }
}
