//! Cases of the access rules, line by line.

use axum::http::Request;
use proptest::prelude::*;

use crate::{Asked, NameError, Names, Refusal, Rules, Token};

/// Status of a request (method, target, fields) to a server on 127.0.0.1:9100; 200 if a handler may see it.
fn judge(rules: &Rules, listens: &str, line: &str, fields: &[(&str, &str)]) -> u16 {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let listens = listens.parse().unwrap();
    let local =
        if listens == "0.0.0.0:9100".parse().unwrap() { "192.0.2.7:9100".parse().unwrap() } else { listens };
    rules.judge(&parts, listens, local, false).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
}

const HERE: &str = "127.0.0.1:9100";

fn host(rules: &Rules, listens: &str, host: &str) -> u16 {
    judge(rules, listens, "GET /status", &[("host", host)])
}

#[test]
fn a_request_must_name_this_host() {
    let rules =
        Rules::new(Names::parse(&["fog-1.example", "tunnel.example:9000", "localhost:9000"], &[]).unwrap());
    for (named, status) in [
        ("127.0.0.1:9100", 200),
        ("localhost:9100", 200),
        ("LOCALHOST.:9100", 200),
        ("[::1]:9100", 200),
        ("[::ffff:127.0.0.1]:9100", 200),
        ("127.0.0.1", 200),
        ("localhost:9000", 200),
        ("fog-1.example", 200),
        ("FOG-1.Example:1", 200),
        ("tunnel.example:9000", 200),
        ("tunnel.example:9001", 421),
        ("tunnel.example", 421),
        ("127.0.0.1:9101", 421),
        ("127.0.0.2:9100", 421),
        ("192.0.2.7:9100", 421),
        ("0.0.0.0:9100", 421),
        ("evil.example", 421),
        ("localhost.evil.example:9100", 421),
        ("evil-localhost:9100", 421),
        ("2130706433:9100", 421),
        ("0x7f.1:9100", 421),
        ("", 400),
        ("localhost@evil.example", 400),
        ("evil.example:80@localhost", 400),
        ("localhost:9100, evil.example", 400),
        ("localhost:9100 ", 400),
    ] {
        assert_eq!(host(&rules, HERE, named), status, "{named:?}");
    }
    // Where all addresses are listened on, the one that this connection came to counts.
    assert_eq!(host(&rules, "0.0.0.0:9100", "192.0.2.7:9100"), 200);
    assert_eq!(host(&rules, "0.0.0.0:9100", "0.0.0.0:9100"), 421);
    let certified = Rules::new(Names::default().with_certificate(&[
        "Cloud.example".into(),
        "192.0.2.9".into(),
        "*.x".into(),
    ]));
    for (named, status) in [
        ("cloud.example", 200),
        ("cloud.example:9100", 200),
        ("cloud.example:1", 200),
        ("192.0.2.9:9100", 200),
        ("a.x", 421),
    ] {
        assert_eq!(host(&certified, HERE, named), status, "{named}");
    }
}

#[test]
fn one_host_is_named_once_and_the_same_everywhere() {
    let rules = Rules::new(Names::default());
    for (line, hosts, status) in [
        ("GET /status", &[][..], 400),
        ("GET /status", &["localhost", "localhost"], 400),
        ("GET /status", &["localhost", "evil.example"], 400),
        ("GET /status", &["evil.example", "localhost"], 400),
        ("GET http://localhost/status", &["localhost"], 200),
        ("GET http://evil.example/status", &["localhost"], 400),
        ("GET http://localhost/status", &["evil.example"], 400),
        ("GET http://evil.example/status", &["evil.example"], 421),
        ("GET http://me@localhost/status", &["localhost"], 400),
        ("GET http://localhost/status", &[], 400),
        ("CONNECT evil.example:80", &["evil.example:80"], 421),
        ("CONNECT localhost:9100", &["localhost:9100"], 405),
        ("TRACE /status", &["localhost"], 405),
        ("INVENTED /status", &["localhost"], 405),
    ] {
        let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        assert_eq!(judge(&rules, HERE, line, &fields), status, "{line} {hosts:?}");
    }
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let rules = Rules::new(Names::parse(&[] as &[&str], &["https://fleet.example"]).unwrap());
    for (origin, site, status) in [
        (None, None, 200),
        (Some("http://localhost:9100"), None, 200),
        (Some("HTTP://localhost:9100"), None, 403),
        (Some("http://localhost:9100"), Some("same-origin"), 200),
        (None, Some("same-origin"), 200),
        (None, Some("none"), 200),
        (None, Some("cross-site"), 403),
        (None, Some("same-site"), 403),
        (None, Some("Same-Origin"), 403),
        (None, Some(""), 403),
        (Some("http://localhost:9100"), Some("cross-site"), 403),
        (Some("https://localhost:9100"), None, 403),
        (Some("http://localhost"), None, 403),
        (Some("http://localhost:9101"), None, 403),
        (Some("http://127.0.0.1:9100"), None, 403),
        (Some("http://evil.example"), None, 403),
        (Some("http://localhost:9100.evil.example"), None, 403),
        (Some("http://localhost:9100@evil.example"), None, 403),
        (Some("http://localhost:9100/"), None, 403),
        (Some("null"), None, 403),
        (Some(""), None, 403),
        (Some("file://"), None, 403),
        (Some("https://fleet.example"), Some("cross-site"), 200),
        (Some("https://fleet.example:443"), None, 200),
        (Some("http://fleet.example"), Some("cross-site"), 403),
        (Some("https://fleet.example.evil.example"), None, 403),
    ] {
        let fields: Vec<_> = [("origin", origin), ("sec-fetch-site", site)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .chain([("host", "localhost:9100"), ("content-type", "application/json")])
            .collect();
        for line in ["GET /twin", "POST /stations/recommend"] {
            assert_eq!(judge(&rules, HERE, line, &fields), status, "{line} {origin:?} {site:?}");
        }
    }
    let twice = [
        ("host", "localhost:9100"),
        ("origin", "http://localhost:9100"),
        ("origin", "http://localhost:9100"),
    ];
    assert_eq!(judge(&rules, HERE, "GET /twin", &twice), 403);
}

#[test]
fn changes_need_a_type_that_a_form_cannot_send() {
    let rules = Rules::new(Names::default()).with_types(&["application/json", "application/octet-stream"]);
    for (kind, status) in [
        (&["application/json"][..], 200),
        (&["Application/JSON; charset=utf-8"], 200),
        (&["application/octet-stream"], 200),
        (&["application/jsonx"], 415),
        (&["text/plain"], 415),
        (&["text/plain; application/json"], 415),
        (&["application/x-www-form-urlencoded"], 415),
        (&["multipart/form-data; boundary=a"], 415),
        (&[""], 415),
        (&["text/plain, application/json"], 415),
        (&["application/json", "text/plain"], 415),
        (&[], 415),
    ] {
        let fields: Vec<_> =
            kind.iter().map(|kind| ("content-type", *kind)).chain([("host", "localhost")]).collect();
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            assert_eq!(judge(&rules, HERE, &format!("{method} /tx"), &fields), status, "{method} {kind:?}");
        }
        assert_eq!(judge(&rules, HERE, "GET /tx", &fields), 200);
    }
}

#[test]
fn a_token_is_asked_for_where_it_is_configured() {
    let token = || Some(Token::new("0123456789abcdef"));
    let everywhere =
        Rules::new(Names::default()).with_token(token(), Asked::Everywhere { but: &["/openapi.json"] });
    let changes = Rules::new(Names::default()).with_token(token(), Asked::Changes);
    for (given, allowed) in [
        (Some("Bearer 0123456789abcdef"), true),
        (Some("bearer 0123456789abcdef"), true),
        (Some("Bearer 0123456789abcdeF"), false),
        (Some("Bearer 0123456789abcde"), false),
        (Some("Bearer 0123456789abcdef0"), false),
        (Some("Bearer  0123456789abcdef"), false),
        (Some("Basic 0123456789abcdef"), false),
        (Some("Bearer "), false),
        (Some("Bea"), false),
        (None, false),
    ] {
        let mut fields = vec![("host", "localhost"), ("content-type", "application/json")];
        fields.extend(given.map(|given| ("authorization", given)));
        let status = if allowed { 200 } else { 401 };
        assert_eq!(judge(&everywhere, HERE, "GET /v1/vehicles", &fields), status, "{given:?}");
        assert_eq!(judge(&everywhere, HERE, "GET /openapi.json", &fields), 200);
        assert_eq!(judge(&everywhere, HERE, "GET /openapi.json/", &fields), status);
        assert_eq!(judge(&changes, HERE, "POST /tx", &fields), status, "{given:?}");
        assert_eq!(judge(&changes, HERE, "GET /status", &fields), 200);
    }
    let twice =
        [("host", "localhost"), ("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer x")];
    assert_eq!(judge(&everywhere, HERE, "GET /v1/vehicles", &twice), 401);
}

#[test]
fn a_token_is_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let read = |content: &str| {
        voltmesh_identity::write_private(&path, content.as_bytes()).unwrap();
        Token::read(&path).map_err(|error| error.to_string())
    };
    assert!(read("0123456789abcdef\n").is_ok());
    for (content, words) in [
        ("short", "5 characters"),
        ("0123456789 abcdef", "other characters"),
        (&"a".repeat(5000), "5000 bytes"),
    ] {
        assert!(read(content).unwrap_err().contains(words), "{content}");
    }
    std::fs::remove_file(&path).unwrap();
    voltmesh_identity::write_public(&path, b"0123456789abcdef").unwrap();
    assert!(Token::read(&path).is_ok(), "a token that others may read is warned of");
    std::fs::remove_file(&path).unwrap();
    assert!(Token::read(&path).unwrap_err().to_string().contains("cannot be read"));
    assert_eq!(format!("{:?}", Token::new("secret")), "Token(…)");
}

#[test]
fn wrong_names_are_refused_with_their_key() {
    assert_eq!(Names::parse(&["http://a"], &[]), Err(NameError::Host("http://a".into())));
    for origin in ["fleet.example", "https://fleet.example/", "ftp://a", "*", "null"] {
        assert_eq!(Names::parse(&[], &[origin]), Err(NameError::Origin(origin.into())));
    }
}

#[test]
#[should_panic(expected = "any page may send")]
fn a_forms_type_can_never_be_allowed() {
    let _ = Rules::new(Names::default()).with_types(&["text/plain"]);
}

#[test]
fn every_refusal_is_one_kind_of_json() {
    let refusal = Refusal::ForeignHost { host: "evil.example".into() };
    let raw = refusal.raw();
    assert!(
        raw.starts_with("HTTP/1.1 421 Misdirected Request\r\nContent-Type: application/problem+json\r\n"),
        "{raw}"
    );
    assert!(raw.contains("\"detail\":\"evil.example is no name of this interface"), "{raw}");
}

proptest! {
    /// Whatever a host is called: unless it is ours, it is refused.
    #[test]
    fn no_other_name_gets_in(text in "[ -~]{0,40}") {
        let rules = Rules::new(Names::default());
        let status = host(&rules, HERE, &text);
        let lower = text.to_ascii_lowercase();
        let (name, port) = lower.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).unwrap_or((&lower, "9100"));
        let ours = ["localhost", "localhost.", "127.0.0.1"].contains(&name) || name.starts_with('[');
        prop_assert!(status != 200 || ours && port == "9100", "{text:?}");
        prop_assert!(ours || matches!(status, 400 | 421));
    }
}
