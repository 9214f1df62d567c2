//! XML as the documents of JSON that publishers of both make of it, so that one reader serves both.
//!
//! An element becomes a field of its local name: a text, or an object of its attributes and elements, with its own text as `value`;
//! elements of one name become a list. Provided: bounds of depth, elements and bytes; no document type, so no entities but the five of
//! XML itself. Not provided: schemas, and encodings other than UTF-8.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

use crate::Error;
use crate::error::cut;

/// Elements within each other, at most: DATEX II has some 20.
const MAX_DEPTH: usize = 64;

/// Elements and attributes of a document at most, 100 bytes of memory each: of a country's 150,000 EVSEs a dozen.
const MAX_NODES: usize = 4_000_000;

/// The field that has an element's own text, where it has others too.
const TEXT: &str = "value";

/// Whether a file begins as XML does.
pub fn is_xml(text: &[u8]) -> bool {
    matches!(text, [b'<', b'?' | b'!' | b'_' | b':' | b'a'..=b'z' | b'A'..=b'Z', ..])
}

/// Whether bytes of XML end where their outermost element does.
pub fn is_complete(bytes: &[u8]) -> bool {
    let Some(end) = bytes.trim_ascii_end().strip_suffix(b">") else { return false };
    let Some(begin) = end.iter().rposition(|byte| *byte == b'<') else { return false };
    let name = end[begin + 1..].strip_prefix(b"/").map(<[u8]>::trim_ascii_end);
    name.is_some_and(|name| !name.is_empty() && name == outermost(bytes))
}

/// The name of the first element.
fn outermost(mut bytes: &[u8]) -> &[u8] {
    while let Some(at) = bytes.iter().position(|byte| *byte == b'<') {
        bytes = &bytes[at + 1..];
        let behind = |part: &[u8], end: &[u8]| {
            part.windows(end.len()).position(|window| window == end).map(|at| at + end.len())
        };
        let skipped = match bytes {
            [b'!', b'-', b'-', ..] => behind(bytes, b"-->"),
            [b'?' | b'!', ..] => behind(bytes, b">"),
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
                return &bytes[..bytes.iter().position(ends).unwrap_or(0)];
            }
        };
        let Some(skipped) = skipped else { break };
        bytes = &bytes[skipped..];
    }
    &[]
}

/// An element that has not ended yet.
#[derive(Default)]
struct Open {
    name: String,
    fields: Map<String, Value>,
    text: String,
}

impl Open {
    fn of(start: &BytesStart<'_>, what: &'static str) -> Result<Self, Error> {
        let mut open = Self { name: local(start.local_name().as_ref()), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| wrong(what, error))?;
            let key = attribute.key;
            // Names of namespaces, and of types, which the elements tell.
            if key.as_namespace_binding().is_some()
                || key.prefix().is_some_and(|prefix| prefix.as_ref() == b"xsi")
            {
                continue;
            }
            let text = std::str::from_utf8(&attribute.value).map_err(|error| wrong(what, error))?;
            let value = quick_xml::escape::unescape(text).map_err(|error| wrong(what, error))?;
            open.put(local(key.local_name().as_ref()), Value::String(value.into_owned()));
        }
        Ok(open)
    }

    fn put(&mut self, name: String, value: Value) {
        match self.fields.get_mut(&name) {
            None => {
                self.fields.insert(name, value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(first) => {
                let first_value = first.take();
                *first = Value::Array(vec![first_value, value]);
            }
        }
    }

    fn close(mut self) -> (String, Value) {
        let text = self.text.trim();
        if self.fields.is_empty() {
            return (self.name, Value::String(text.to_owned()));
        }
        if !text.is_empty() {
            let text = Value::String(text.to_owned());
            self.put(TEXT.to_owned(), text);
        }
        (self.name, Value::Object(self.fields))
    }
}

fn local(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn wrong(what: &'static str, error: impl std::fmt::Display) -> Error {
    Error::Xml { what, problem: cut(&error.to_string()) }
}

/// Reads a document; its outermost element is an object's only field.
///
/// # Errors
/// No well-formed XML, a document type, an entity of its own, another encoding, or more than is read.
pub fn read(bytes: &[u8], what: &'static str) -> Result<Value, Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = Reader::from_reader(bytes);
    let mut open = vec![Open::default()];
    let mut nodes = 0;
    loop {
        let event = reader.read_event().map_err(|error| wrong(what, error))?;
        match event {
            Event::Start(start) => {
                let element = Open::of(&start, what)?;
                nodes += 1 + element.fields.len();
                open.push(element);
            }
            Event::Empty(start) => {
                let element = Open::of(&start, what)?;
                nodes += 1 + element.fields.len();
                end(&mut open, element);
            }
            Event::End(_) => {
                // The reader has checked that it closes what is open.
                if let Some(element) = open.pop() {
                    end(&mut open, element);
                }
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| wrong(what, error))?;
                add(&mut open, &text);
            }
            Event::CData(text) => {
                let text = std::str::from_utf8(&text).map_err(|error| wrong(what, error))?;
                add(&mut open, text);
            }
            Event::GeneralRef(reference) => add(&mut open, &resolved(&reference, what)?),
            Event::Decl(declaration) => {
                if let Some(encoding) = declaration.encoding() {
                    let encoding = encoding.map_err(|error| wrong(what, error))?;
                    if ![&b"utf-8"[..], b"utf8", b"us-ascii"]
                        .iter()
                        .any(|known| encoding.eq_ignore_ascii_case(known))
                    {
                        let name = String::from_utf8_lossy(&encoding).into_owned();
                        return Err(wrong(what, format_args!("it is in {name}; convert it to UTF-8")));
                    }
                }
            }
            Event::DocType(_) => {
                return Err(wrong(
                    what,
                    "it has a document type (<!DOCTYPE), which may define entities; remove it",
                ));
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
        if open.len() > MAX_DEPTH {
            let (found, limit) = (open.len() as u64, MAX_DEPTH as u64);
            return Err(Error::TooMuch { what: "elements of XML within each other", found, limit });
        }
        if nodes > MAX_NODES {
            let (found, limit) = (nodes as u64, MAX_NODES as u64);
            return Err(Error::TooMuch { what: "elements of XML", found, limit });
        }
    }
    match open.pop() {
        Some(outermost) if open.is_empty() && !outermost.fields.is_empty() => {
            Ok(Value::Object(outermost.fields))
        }
        _ => Err(wrong(what, "it ends before its outermost element does")),
    }
}

/// Puts an element that has ended into the one around it.
fn end(open: &mut [Open], element: Open) {
    if let Some(around) = open.last_mut() {
        let (name, value) = element.close();
        around.put(name, value);
    }
}

fn add(open: &mut [Open], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// One of XML's own five entities, or a character by its number.
fn resolved(reference: &BytesRef<'_>, what: &'static str) -> Result<String, Error> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| wrong(what, error))? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(|error| wrong(what, error))?;
    let unknown = || wrong(what, format_args!("the entity &{name}; is none of XML's own"));
    resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_become_fields() {
        let check = |text: &str, expected: Value| {
            assert_eq!(read(text.as_bytes(), "it").unwrap(), expected, "{text}")
        };
        use serde_json::json;
        check("<a>1</a>", json!({ "a": "1" }));
        check(
            "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- c --><x:a xmlns:x=\"u\">1</x:a>\n",
            json!({ "a": "1" }),
        );
        check("<a><b/><b>2</b><c d='3'/></a>", json!({ "a": { "b": ["", "2"], "c": { "d": "3" } } }));
        check("<a><b>1</b><b>2</b><b>3</b></a>", json!({ "a": { "b": ["1", "2", "3"] } }));
        check("<a xsi:type='T' b='x'> A &amp; B&#33; </a>", json!({ "a": { "b": "x", "value": "A & B!" } }));
        check("<a><![CDATA[<b>]]></a>", json!({ "a": "<b>" }));
        check("<a b='&lt;'/>", json!({ "a": { "b": "<" } }));
    }

    #[test]
    fn what_is_no_xml_or_dangerous_is_refused() {
        let check = |text: &str, words: &str| {
            let said = read(text.as_bytes(), "the feed").unwrap_err().to_string();
            assert!(said.contains(words), "{text}: {said}");
        };
        check("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "document type");
        check("<a>&b;</a>", "&b; is none");
        check("<a b='&c;'/>", "c");
        check("<a>", "ends before");
        check("", "ends before");
        check("text", "ends before");
        check("<a></b>", "the feed");
        check("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "convert it to UTF-8");
        check(&"<a>".repeat(MAX_DEPTH + 2), "within each other");
    }

    #[test]
    fn a_document_is_complete_at_its_last_element() {
        let check = |text: &str, expected: bool| assert_eq!(is_complete(text.as_bytes()), expected, "{text}");
        check("<?xml version='1.0'?>\n<!-- <b> --><x:a t='1'><b/></x:a >\n", true);
        check("<a><b></b>", false);
        check("<a><b></b></a", false);
        check("<a", false);
        check("", false);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, text: String) {
            let _ = (read(&bytes, "it"), is_complete(&bytes));
            let _ = read(format!("<a b='{text}'>{text}</a>").as_bytes(), "it");
        }
    }
}
