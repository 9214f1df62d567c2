//! `voltmesh stations inspect` on addresses, of which all pages are read.

#![cfg(feature = "full")]

use std::path::Path;
use std::process::Command;

/// A command's exit code, and what it said on both ways.
fn said(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_voltmesh");
    let output = Command::new(program)
        .arg("stations")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// A publisher on loopback that answers each path with a head and a body; it ends with the test's process.
fn publisher(answer: impl Fn(&str, &str) -> (String, String) + Send + 'static) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let (fields, body) = answer(path, &head.join("\n"));
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n{fields}\r\n{body}"
            );
            (&stream).write_all(text.as_bytes()).ok();
        }
    });
    base
}

#[test]
fn a_feed_at_an_address_is_inspected_with_all_its_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), "0123456789abcdef").expect("a file");
    let base = publisher(|path, head| {
        let evse = |id: &str, status: &str| {
            format!(
                r#"{{"uid":"{id}","evse_id":"{id}","status":"{status}","last_updated":"2025-03-03T10:30:00Z","connectors":[{{"standard":"IEC_62196_T2"}}]}}"#
            )
        };
        let page = |evses: &str| {
            format!(
                r#"{{"status_code":1000,"data":[{{"id":"L","coordinates":{{"latitude":"50","longitude":"8"}},"evses":[{evses}]}}]}}"#
            )
        };
        match path {
            "/locations" if head.to_lowercase().contains("authorization: token 0123456789abcdef") => {
                ("link: </locations?offset=1>; rel=\"next\"\r\n".to_owned(), page(&evse("DE*AB1*E1", "AVAILABLE")))
            }
            "/locations?offset=1" => (String::new(), page(&evse("DE*AB1*E2", "CHARGING"))),
            "/datex" => (
                String::new(),
                "<payload><refillPointStatus><reference id='DE*AB1*E9'/><status>available</status></refillPointStatus></payload>"
                    .to_owned(),
            ),
            _ => (String::new(), "[]".to_owned()),
        }
    });
    let asked = ["inspect", &format!("{base}/locations"), "--token-file", "token", "--scheme", "Token"];
    let (code, text) = said(folder.path(), &asked);
    for words in ["(2 pages): OCPI", "2 of 2 rows usable", "2 EVSEs, 2 with a position, 2 with plugs"] {
        assert!(code == Some(0) && text.contains(words), "{words}: {code:?}: {text}");
    }
    let (code, text) = said(folder.path(), &["inspect", &format!("{base}/datex")]);
    assert!(code == Some(0) && text.contains("DATEX II, 1 statuses without times"), "{code:?}: {text}");
    // Without the token the publisher says nothing.
    let (code, text) = said(folder.path(), &["inspect", &format!("{base}/locations?key=hidden")]);
    assert!(code == Some(1) && !text.contains("hidden"), "{code:?}: {text}");
    let clear = ["inspect", "http://cpo.example/locations", "--token-file", "token"];
    let (code, text) = said(folder.path(), &clear);
    assert!(code == Some(1) && text.contains("in the clear"), "{code:?}: {text}");
}

#[test]
fn a_page_that_is_an_error_is_said_and_ends_with_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = publisher(|path, _| {
        let page = r#"{"status_code":1000,"data":[{"id":"L","evses":[{"uid":"1","status":"AVAILABLE","last_updated":"2025-03-03T10:30:00Z","connectors":[{"standard":"IEC_62196_T2"}]}]}]}"#;
        let said = match path {
            "/login" => "<html><body><h1>Login</h1></body></html>",
            "/maintenance" => "<!DOCTYPE html><html><body>Maintenance</body></html>",
            "/message" => r#"{"message":"API rate limit exceeded"}"#,
            "/refused" => r#"{"status_code":2001,"status_message":"Invalid parameters"}"#,
            "/text" => "Service temporarily unavailable",
            "/behind" => r#"{"status_code":1000,"data":[]}"#,
            "/nothing" => "",
            _ => return (format!("link: <{}>; rel=\"next\"\r\n", &path["/first".len()..]), page.to_owned()),
        };
        (String::new(), said.to_owned())
    });
    let check = |second: &str, code: i32, words: &str| {
        let address = format!("{base}/first/{second}");
        let (found, text) = said(folder.path(), &["inspect", &address]);
        assert_eq!(found, Some(code), "{second}: {text}");
        for words in
            [words, "(2 pages): OCPI", "1 of 1 rows usable", "1 EVSEs, 0 with a position, 1 with plugs"]
        {
            assert!(text.contains(words), "{second}: {text}");
        }
        assert_eq!(said(folder.path(), &["inspect", &address, "--json"]).0, Some(code), "{second}");
    };
    check("login", 3, "page 2 is nothing that is read: 1 rows skipped");
    check(
        "maintenance",
        3,
        "page 2 is nothing that is read: the history is no XML that is read: it has a document type",
    );
    check("message", 3, "API rate limit exceeded");
    check("refused", 3, "status_code 2001: Invalid parameters");
    check("text", 3, "page 2 is nothing that is read: the history has no column");
    check("behind", 0, "");
    check("nothing", 0, "");
    // Of one page, and of none that is read, all is refused.
    for path in ["/login", "/first/first/login", "/message"] {
        let (code, text) = said(folder.path(), &["inspect", &format!("{base}{path}")]);
        assert!(matches!(code, Some(1 | 3)) && !text.is_empty(), "{path}: {code:?}: {text}");
    }
}
