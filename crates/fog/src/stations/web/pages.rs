//! Which page comes next: as the answer's head says, or the document itself.

use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Address, WebError};

/// Names under which documents have their entries.
const ENTRIES: [&str; 6] = ["data", "results", "records", "items", "value", "features"];

/// What the head of an answer says of pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The values of `Link` (RFC 8288).
    pub links: Vec<String>,
    /// `X-Total-Count`: entries of all pages together.
    pub total: Option<u64>,
}

/// The address of the next page, if there is one. `from` is where this page was had.
///
/// # Errors
/// It is on another host.
pub fn next(from: &Address, head: &Head, body: &[u8]) -> Result<Option<Address>, WebError> {
    if let Some(link) = head.links.iter().find_map(|link| target(link)) {
        return from.refer(link).map(Some);
    }
    let outline: Outline = serde_json::from_slice(body).unwrap_or_default();
    if let Some(next) = &outline.next {
        return from.refer(next).map(Some);
    }
    let (Some(total), here) = (head.total.or(outline.total), outline.entries) else { return Ok(None) };
    let seen = from.number("offset").unwrap_or(0).saturating_add(here);
    // By what came, not by what was asked for: an entry too many is read twice, none is left out.
    Ok((here > 0 && seen < total).then(|| from.with("offset", seen)))
}

/// The target of the link whose relation is `next`, in one `Link` field.
fn target(field: &str) -> Option<&str> {
    let mut rest = field;
    while let Some((_, link)) = rest.split_once('<') {
        let (target, after) = link.split_once('>')?;
        // Parameters go on to the next `<` that begins a link.
        let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
        let is_next = after[..end].split(';').any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("rel")
                    && value.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
            })
        });
        if is_next {
            return Some(target.trim());
        }
        rest = &after[end..];
    }
    None
}

/// What a document says of itself: its own entries, those of all pages, the next page.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outline {
    entries: u64,
    total: Option<u64>,
    next: Option<String>,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Top;
        impl<'de> Visitor<'de> for Top {
            type Value = Outline;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
                let mut entries = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    entries += 1;
                }
                Ok(Outline { entries, ..Outline::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
                let mut outline = Outline::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "next" => outline.next = reference(&map.next_value()?),
                        "links" | "_links" => {
                            let links: Value = map.next_value()?;
                            outline.next = outline.next.or_else(|| reference(links.get("next")?));
                        }
                        "total_count" => outline.total = map.next_value::<Value>()?.as_u64(),
                        name if ENTRIES.contains(&name) => outline.entries = map.next_value::<Count>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(outline)
            }
        }
        deserializer.deserialize_any(Top)
    }
}

/// A text, or the `href` of an object.
fn reference(value: &Value) -> Option<String> {
    let text = value.as_str().or_else(|| value.get("href")?.as_str())?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// How many entries a list has; none if it is no list. Nothing of it is kept: a page may have 64 MiB.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut entries = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    entries += 1;
                }
                Ok(Count(entries))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(0))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_str<E>(self, _: &str) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, links: &[&str], total: Option<u64>, body: &str, expected: Option<&str>) {
        let from = Address::parse(from).unwrap();
        let head = Head { links: links.iter().map(|link| (*link).to_owned()).collect(), total };
        let found = next(&from, &head, body.as_bytes()).unwrap();
        assert_eq!(found.as_ref().map(|to| to.url().as_str()), expected, "{links:?} {total:?} {body}");
    }

    #[test]
    fn pages_are_found_in_head_and_document() {
        const HERE: &str = "https://cpo.example/locations?limit=2";
        let second = Some("https://cpo.example/locations?limit=2&offset=2");
        let ocpi = "<https://cpo.example/locations?limit=2&offset=2>; rel=\"next\"";
        check(HERE, &[ocpi], Some(4), r#"{"data":[1,2]}"#, second);
        check(HERE, &[&format!("<https://cpo.example/a,b>; rel=prev, {ocpi}")], None, "", second);
        check(HERE, &[&format!("</x>;rel=\"last\",{ocpi}")], None, "", second);
        check(
            HERE,
            &["</locations?offset=2>; rel=\"prev next\""],
            None,
            "",
            Some("https://cpo.example/locations?offset=2"),
        );
        check(HERE, &["<https://cpo.example/>; rel=\"prev\""], None, "[1,2]", None);
        check(HERE, &["nonsense", "<", "<x"], None, "[1,2]", None);
        // By counting.
        check(HERE, &[], Some(3), r#"{"data":[1,2],"status_code":1000}"#, second);
        check(HERE, &[], Some(3), "[1,2]", second);
        check("https://cpo.example/locations?limit=2&offset=2", &[], Some(3), "[1]", None);
        check(HERE, &[], None, r#"{"total_count":1899,"results":[{},{}]}"#, second);
        check(HERE, &[], Some(9), "[]", None);
        check(HERE, &[], Some(9), "timestamp,evse_id,status", None);
        check(HERE, &[], Some(2), "[1,2]", None);
        check(HERE, &[], None, r#"{"total":9,"results":[1]}"#, None);
        // In the document.
        check(
            HERE,
            &[],
            None,
            r#"{"next":"/locations?page=2","results":[]}"#,
            Some("https://cpo.example/locations?page=2"),
        );
        check(
            HERE,
            &[],
            None,
            r#"{"links":{"next":{"href":"?page=2"}}}"#,
            Some("https://cpo.example/locations?page=2"),
        );
        check(
            HERE,
            &[],
            None,
            r#"{"_links":{"next":"?page=2"}}"#,
            Some("https://cpo.example/locations?page=2"),
        );
        check(HERE, &[], None, r#"{"next":null,"data":{"next":"/x"}}"#, None);
        for other in ["null", "true", "-1", "7", "0.5", "\"text\"", "{\"a\":[1]}"] {
            check(
                HERE,
                &[],
                None,
                &format!(r#"{{"data":{other},"next":"?page=2"}}"#),
                Some("https://cpo.example/locations?page=2"),
            );
        }
    }

    #[test]
    fn a_next_page_on_another_host_is_refused() {
        let from = Address::parse("https://cpo.example/a").unwrap();
        let head = Head { links: vec!["<https://evil.example/a>; rel=\"next\"".to_owned()], total: None };
        let said = next(&from, &head, b"").unwrap_err().to_string();
        assert!(said.contains("another host") && said.contains("evil.example"), "{said}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(link: String, body: Vec<u8>, total: Option<u64>) {
            let from = Address::parse("https://cpo.example/a").unwrap();
            let _ = next(&from, &Head { links: vec![link], total }, &body);
        }
    }
}
