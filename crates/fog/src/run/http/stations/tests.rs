//! `/stations/…` over HTTP: feeds that are files and addresses, refusals, the routing service.

use std::time::Duration;

use serde_json::Value;
use voltmesh_control::Role;

use super::*;
use crate::config;
use crate::stations::feed::Snapshot;
use crate::stations::testing::{self, END};

/// Serves routes as a node does, on a port of the system's choice.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = config::Http::default();
    let (rules, figures) = (crate::run::http::rules(&access).unwrap(), voltmesh_http::Figures::new());
    let server = voltmesh_http::serve(listener, router, rules, Default::default(), None, figures).unwrap();
    let base = format!("http://{}", server.address());
    // Until the test's runtime ends.
    tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(server);
    });
    base
}

async fn get(url: &str) -> (u16, Value) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn post(url: &str) -> Value {
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let response = request.send().await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn write(folder: &tempfile::TempDir, osrm: Option<String>) -> config::Stations {
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("model"), testing::model().write().unwrap()).unwrap();
    std::fs::write(path("places.csv"), testing::PLACES).unwrap();
    let text = format!(
        "model = {:?}\nfeed = {:?}\nplaces = {:?}\nfeed_poll_ms = 10\nreplay_speed = 1e6\n",
        path("model"),
        path("feed.csv"),
        path("places.csv")
    );
    config::Stations { osrm, ..toml::from_str(&text).unwrap() }
}

const ASK: &str = "/stations/recommend?lat=53.34&lon=-6.26&soc=0.3&capacity_kwh=60&plugs=ccs";

#[tokio::test]
async fn a_node_without_stations_says_so() {
    let base = serve(router(None)).await;
    for path in ["/stations/forecast", ASK] {
        let (status, body) = get(&format!("{base}{path}")).await;
        assert_eq!(status, 404);
        assert!(body["error"].as_str().unwrap().contains("[stations]"), "{body}");
    }
}

#[tokio::test]
async fn a_feed_is_followed_and_forecasts_and_advice_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(&folder, None);
    let service = Arc::new(Service::open(&config).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    let following = tokio::spawn(service.clone().follow(config.clone()));
    let (status, body) = get(&format!("{base}/stations/forecast")).await;
    assert_eq!((status, body["error"].as_str().unwrap().contains("yet")), (503, true), "{body}");
    // A collector starts to write.
    std::fs::write(folder.path().join("feed.csv"), testing::feed(END, 3)).unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while service.figures().iter().all(|figure| *figure != ("stations_snapshots", 3)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("three snapshots are taken");
    let (status, one) = get(&format!("{base}/stations/forecast?evse=A%2F1&minutes=60")).await;
    assert_eq!((status, &one["evse"]), (200, &"A/1".into()), "{one}");
    let sum: f64 =
        one["horizons"][0]["probabilities"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert!((sum - 1.0).abs() < 1e-4 && one["horizons"][0]["minutes"] == 60, "{one}");
    let (status, all) = get(&format!("{base}/stations/forecast")).await;
    assert_eq!((status, all["evses"].as_array().unwrap().len()), (200, testing::EVSES), "{all}");
    let (status, advice) = get(&format!("{base}{ASK}&max_dc_kw=50&top=3")).await;
    assert_eq!((status, &advice["roads"]), (200, &"great circle × 1.3".into()), "{advice}");
    assert!(!advice["stations"].as_array().unwrap().is_empty() && advice["reservation"].is_null());
    // Whoever is sent there is counted on: the next one finds it fuller.
    let first = &advice["stations"][0];
    let held = post(&format!("{base}{ASK}&max_dc_kw=50&top=3")).await;
    assert!(held["reservation"]["evse"].is_string(), "{held}");
    let (_, again) = get(&format!("{base}{ASK}&max_dc_kw=50&top=9")).await;
    let same =
        again["stations"].as_array().unwrap().iter().find(|entry| entry["station"] == first["station"]);
    assert!(same.is_none_or(|same| same["p_free"].as_f64() < first["p_free"].as_f64()), "{again}");
    for (path, code, words) in [
        ("/stations/forecast?evse=nobody", 404, "nobody"),
        ("/stations/forecast?minutes=7", 400, "7 min"),
        ("/stations/forecast?minutes=x", 400, "minutes"),
        ("/stations/forecast?colour=red", 400, "colour"),
        ("/stations/recommend?lat=1", 400, "missing field"),
        ("/stations/recommend?lat=99&lon=0&soc=0.5&capacity_kwh=60&plugs=ccs", 400, "no position"),
        ("/stations/recommend?lat=53&lon=-6&soc=0.5&capacity_kwh=60&plugs=broomstick", 400, "broomstick"),
        ("/stations/recommend?lat=53&lon=-6&soc=0.5&capacity_kwh=60&plugs=", 400, "no plug"),
        ("/stations/recommend?lat=53&lon=-6&soc=NaN&capacity_kwh=60&plugs=ccs", 400, "state of charge"),
    ] {
        let (status, body) = get(&format!("{base}{path}")).await;
        let said = body["error"].as_str().unwrap_or_default();
        assert!(status == code && said.contains(words), "{path}: {status} {body}");
    }
    let mut board = Status::new(Role::Fog, "fog-1");
    report(&service, &mut board);
    assert_eq!(
        (board.counter("stations_evses"), board.counter("stations_reservations")),
        (testing::EVSES as u64, 1)
    );
    assert!(board.counter("stations_forecaster_bytes") > board.counter("stations_model_bytes"), "{board:?}");
    let figures = crate::run::http::exposition(&board);
    let text = figures.text();
    for line in [
        "voltmesh_fog_stations_forecast_seconds_count 2",
        "voltmesh_fog_stations_recommend_seconds{quantile=\"0.99\"}",
        "# TYPE voltmesh_fog_stations_evses gauge",
        "voltmesh_fog_stations_rows_total",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    following.abort();
}

#[tokio::test]
async fn a_feed_at_an_address_is_polled_page_by_page() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let folder = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = broken.clone();
    // Two pages of OCPI, three EVSEs each.
    let publisher = move |uri: axum::http::Uri| {
        let broken = is_broken.load(Ordering::Relaxed);
        async move {
            let first = !uri.query().unwrap_or_default().contains("offset");
            let evse = |id: &&str| format!(r#"{{"uid":"{id}","evse_id":"{id}","status":"AVAILABLE"}}"#);
            let ids = if first { ["A/1", "A/2", "B/1"] } else { ["B/2", "C/1", "C/2"] };
            let evses: Vec<String> = ids.iter().map(evse).collect();
            let body =
                format!(r#"{{"status_code":1000,"data":[{{"id":"L","evses":[{}]}}]}}"#, evses.join(","));
            let next = if first { "</ocpi?offset=1>; rel=\"next\"" } else { "" };
            let status = if broken { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            (status, [("link", next)], body)
        }
    };
    let base = serve(Router::new().fallback(publisher)).await;
    let text =
        format!("model = {:?}\nfeed = \"{base}/ocpi\"\n[web]\ninterval_s = 1\n", folder.path().join("model"));
    std::fs::write(folder.path().join("model"), testing::model().write().unwrap()).unwrap();
    let config: config::Stations = toml::from_str(&text).unwrap();
    let service = Arc::new(Service::open(&config).unwrap());
    let following = tokio::spawn(service.clone().follow(config));
    let figure =
        |name: &str| service.figures().iter().find(|(own, _)| *own == name).map_or(0, |(_, value)| *value);
    let until = async |name: &str, least: u64| {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while figure(name) < least {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{name} is {}", figure(name));
    };
    until("stations_feed_errors", 1).await;
    assert_eq!(figure("stations_rows"), 0);
    broken.store(false, Ordering::Relaxed);
    until("stations_snapshots", 1).await;
    let (_, all) = get(&format!("{}/stations/forecast", serve(router(Some(service.clone()))).await)).await;
    let known = all["evses"].as_array().unwrap().iter().filter(|evse| evse["status"] == "Available").count();
    assert_eq!(known, testing::EVSES, "{all}");
    assert_eq!((figure("stations_rows_malformed"), figure("stations_feed_restarts")), (0, 0));
    following.abort();
}

/// A service that has heard of one EVSE, and where it answers.
async fn with_one_reading(folder: &tempfile::TempDir) -> (Arc<Service>, String) {
    let service = Arc::new(Service::open(&write(folder, None)).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    let snapshot = Snapshot {
        at: END,
        newest: END,
        readings: vec![("A/1".into(), "Available".into())],
        said: vec![END],
    };
    service.take(&snapshot, 1.0);
    (service, base)
}

#[tokio::test]
async fn a_page_of_another_site_reserves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (service, base) = with_one_reading(&folder).await;
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (&[json, ("host", "rebound.evil.example")][..], 421),
        (&[json, ("origin", "http://evil.example")], 403),
        (&[json, ("sec-fetch-site", "cross-site")], 403),
        (&[("content-type", "text/plain")], 415),
        (&[], 415),
    ] {
        let mut request = reqwest::Client::new().post(format!("{base}{ASK}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{headers:?}");
    }
    assert!(service.figures().contains(&("stations_reservations", 0)), "{:?}", service.figures());
    assert!(post(&format!("{base}{ASK}")).await["reservation"].is_object());
}

#[tokio::test]
async fn a_stale_feed_forecasts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (service, base) = with_one_reading(&folder).await;
    service.pass(3_601);
    for path in ["/stations/forecast?evse=A/1", "/stations/forecast", ASK] {
        let (status, body) = get(&format!("{base}{path}")).await;
        assert_eq!((status, body["error"].as_str().unwrap().contains("s old")), (503, true), "{body}");
    }
    assert!(service.figures().contains(&("stations_refused_stale", 3)));
}

#[tokio::test]
async fn without_the_routing_service_distances_are_estimated() {
    let folder = tempfile::tempdir().unwrap();
    let broken = serve(Router::new().fallback(|| async { (StatusCode::BAD_GATEWAY, "no") })).await;
    let service = Arc::new(Service::open(&write(&folder, Some(broken))).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    let snapshot = Snapshot {
        at: END,
        newest: END,
        readings: vec![("A/1".into(), "Available".into())],
        said: vec![END],
    };
    service.take(&snapshot, 1.0);
    let (status, body) = get(&format!("{base}{ASK}")).await;
    let roads = body["roads"].as_str().unwrap_or_default();
    assert!(
        status == 200 && roads.starts_with("great circle × 1.3: the routing service answers 502"),
        "{body}"
    );
    assert!(service.figures().contains(&("stations_osrm_failures", 1)));
    // One that answers: everything is 6 km and 10 min away.
    let table = |uri: axum::http::Uri| async move {
        let row = |value: u32| vec![vec![value; uri.path().split(';').count()]];
        Json(serde_json::json!({ "code": "Ok", "durations": row(600), "distances": row(6000) }))
    };
    let router_of_roads = serve(Router::new().fallback(table)).await;
    let service = Arc::new(Service::open(&write(&folder, Some(router_of_roads))).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    service.take(&snapshot, 1.0);
    let (_, body) = get(&format!("{base}{ASK}")).await;
    assert_eq!(body["roads"], "measured by the routing service");
    assert_eq!(
        (&body["stations"][0]["drive_km"], &body["stations"][0]["drive_min"]),
        (&6.0.into(), &10.0.into())
    );
}

#[tokio::test]
async fn what_a_document_says_is_as_old_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Stations { replay_speed: 0.0, ..write(&folder, None) };
    let service = Arc::new(Service::open(&config).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    let following = tokio::spawn(service.clone().follow(config.clone()));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let document = serde_json::json!([{ "id": "A", "evses": [{ "uid": "1", "status": "Occ", "last_updated": clock - 300 }] }]);
    std::fs::write(folder.path().join("feed.csv"), document.to_string()).unwrap();
    let url = format!("{base}/stations/forecast?evse=A/1");
    let age_s = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let (200, body) = get(&url).await {
                break body["age_s"].as_u64().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let age_s = age_s.await.unwrap();
    assert!((299..=331).contains(&age_s), "{age_s}");
    following.abort();
}

#[tokio::test]
async fn a_live_feed_that_stood_still_before_this_node_began_is_stale() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Stations { replay_speed: 0.0, ..write(&folder, None) };
    let service = Arc::new(Service::open(&config).unwrap());
    let base = serve(router(Some(service.clone()))).await;
    let following = tokio::spawn(service.clone().follow(config.clone()));
    std::fs::write(folder.path().join("feed.csv"), testing::feed(END, 3)).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let (status, body) = get(&format!("{base}/stations/forecast")).await;
            let said = body["error"].as_str().unwrap_or_default().to_owned();
            assert_eq!(status, 503, "{body}");
            if !said.contains("yet") {
                break said;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let said = refused.await.unwrap();
    assert!(said.contains("the newest snapshot is") && said.contains("s old"), "{said}");
    following.abort();
}
