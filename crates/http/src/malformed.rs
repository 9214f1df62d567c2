//! Answers to what is no request: the parser below the routes sends a bare head, which becomes a problem as all refusals are.

use axum::http::StatusCode;

use crate::problem::raw;
use crate::{Problem, Settings};

/// The whole answer in place of the parser's head; `None` if the bytes are none.
pub(crate) fn problem(head: &[u8], settings: &Settings) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    let status = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(StatusCode::is_client_error)?;
    // Every answer of a handler has this field: see `finish`.
    let lower = text.to_ascii_lowercase();
    if !text.ends_with("\r\n\r\n")
        || lower.contains("x-content-type-options")
        || !lower.contains("content-length: 0")
    {
        return None;
    }
    let detail = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            let (bytes, fields) = (settings.header_bytes, Settings::HEADER_FIELDS);
            format!("the head of a request may have at most {bytes} bytes and {fields} fields")
        }
        StatusCode::URI_TOO_LONG => "the target of this request is too long".to_owned(),
        _ => "this is no request of HTTP/1.1 (RFC 9112)".to_owned(),
    };
    Some(raw(&Problem::new(status, detail), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_heads_become_problems_and_nothing_else_does() {
        let check = |head: &str, expected: Option<(&str, &str)>| {
            let found = problem(head.as_bytes(), &Settings::default());
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some((begins, words))) => {
                    assert!(found.starts_with(begins) && found.contains(words), "{found}");
                    let (head, body) = found.split_once("\r\n\r\n").unwrap();
                    assert!(head.contains("application/problem+json"), "{head}");
                    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
                }
                _ => panic!("{head:?}: {found:?}"),
            }
        };
        let bare = |status: &str| {
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n")
        };
        check(&bare("400 Bad Request"), Some(("HTTP/1.1 400 Bad Request\r\n", "RFC 9112")));
        check(
            &bare("431 Request Header Fields Too Large"),
            Some(("HTTP/1.1 431", "16384 bytes and 64 fields")),
        );
        check(&bare("200 OK"), None);
        check("HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\n", None);
        check("HTTP/1.1 404 Not Found\r\nx-content-type-options: nosniff\r\ncontent-length: 0\r\n\r\n", None);
        check("GET", None);
        check("", None);
    }
}
