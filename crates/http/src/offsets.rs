//! Offsets of times in queries, such as `+00:00`: a form's rules read an unescaped `+` as a blank, and people forget to escape it.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The same target with the `+` of each time's offset escaped; `None` where there is none.
pub(crate) fn escaped(uri: &Uri) -> Option<Uri> {
    let query = uri.query().filter(|query| query.contains('+'))?;
    let fields: Vec<String> =
        query.split('&').map(|field| field_escaped(field).unwrap_or_else(|| field.to_owned())).collect();
    let escaped = fields.join("&");
    if escaped == query {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{}?{escaped}", uri.path()).parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// A field of a query whose value is a time with an unescaped offset.
fn field_escaped(field: &str) -> Option<String> {
    let (time, offset) = field.rsplit_once('+')?;
    let plain = |text: &str| text.replace("%3A", ":").replace("%3a", ":");
    let is_offset = |text: &str| {
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once(':') {
            Some((hours, minutes)) => digits(hours) && digits(minutes),
            None => digits(text) || text.len() == 4 && digits(&text[..2]) && digits(&text[2..]),
        }
    };
    // RFC 3339 5.6: before the offset there are a `T` or a blank, and hours, minutes and seconds.
    let value = plain(time.split_once('=').map_or(time, |(_, value)| value));
    let clock = value.rsplit_once(['T', 't', '+', ' ']).map_or("", |(_, clock)| clock);
    let is_time = clock.len() >= 5
        && clock.as_bytes()[2] == b':'
        && clock.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    (is_time && plain(offset).is_ascii() && is_offset(&plain(offset))).then(|| format!("{time}%2B{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_times_are_escaped_and_nothing_else() {
        let check = |target: &str, expected: Option<&str>| {
            let uri: Uri = target.parse().unwrap();
            assert_eq!(escaped(&uri).map(|uri| uri.to_string()).as_deref(), expected, "{target}");
        };
        check("/a?from=2025-03-01T10:00:00+00:00", Some("/a?from=2025-03-01T10:00:00%2B00:00"));
        check(
            "/a?x=1&from=2025-03-01T10%3A00%3A00.5+01%3A00&to=y",
            Some("/a?x=1&from=2025-03-01T10%3A00%3A00.5%2B01%3A00&to=y"),
        );
        check("/a?from=2025-03-01T10:00:00+0100", Some("/a?from=2025-03-01T10:00:00%2B0100"));
        check("/a?from=2025-03-01+10:00:00+01", Some("/a?from=2025-03-01+10:00:00%2B01"));
        check("http://h/a?from=2025-03-01T10:00+00:00", Some("http://h/a?from=2025-03-01T10:00%2B00:00"));
        check("/a?from=2025-03-01T10:00:00%2B00:00", None);
        check("/a?from=2025-03-01T10:00:00Z", None);
        check("/a?operators=big+small", None);
        check("/a?x=1+22", None);
        check("/a?x=T1234+00:00", None);
        check("/a?from=2025-03-01T10:00:00+soon", None);
        check("/a+b", None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(query in "[ -~&&[^ #<>\"`{}|^\\\\]]{0,60}") {
            if let Ok(uri) = format!("/a?{query}").parse::<Uri>() {
                escaped(&uri);
            }
        }
    }
}
