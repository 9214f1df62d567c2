//! Documents among a feed's bytes: of JSON one or many, over several lines or one a line, of XML one; each read as soon as it is
//! complete.

use serde_json::Value;
use voltmesh_stations::feeds::{self, Reading, Values, xml};

/// Most bytes of documents that are held, 64 MiB: three times France's whole table of charging points.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// What was read of some documents.
#[derive(Debug, Default)]
pub struct Documents {
    /// Statuses, in the order in which they stand.
    pub readings: Vec<Reading>,
    /// Documents that are none of the kinds that are read, or errors.
    pub strange: u64,
    /// Code and message of the last of them that says it is an error.
    pub refusal: Option<String>,
}

impl Documents {
    /// Adds what a document tells; `None` is one that cannot be read.
    fn take(&mut self, document: Option<&Value>) {
        match document.and_then(feeds::of_live_value) {
            Some((_, readings)) => self.readings.extend(readings),
            None => {
                self.strange += 1;
                self.refusal = document.and_then(feeds::refusal).or(self.refusal.take());
            }
        }
    }
}

/// Whether a feed that begins with these bytes is of documents.
pub fn is_one(bytes: &[u8]) -> bool {
    let bytes = beginning(bytes);
    feeds::is_json(bytes) || is_xml(bytes)
}

fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii_start()
}

/// The very first byte is enough: no table begins with it.
fn is_xml(bytes: &[u8]) -> bool {
    bytes == b"<" || xml::is_xml(bytes)
}

/// Bytes of which the last document may not be complete.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// Adds bytes. Returns the documents that are complete, or `None` if there are more bytes than are held: they are dropped.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Documents> {
        if self.bytes.len() + bytes.len() > MAX_DOCUMENT {
            self.bytes.clear();
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        let mut found = Documents::default();
        if is_xml(beginning(&self.bytes)) {
            if xml::is_complete(&self.bytes) {
                let text = std::mem::take(&mut self.bytes);
                found.take(xml::read(&text, "the feed").ok().as_ref());
            }
            return Some(found);
        }
        // A document ends with a bracket: nothing else is worth a look.
        if !matches!(self.bytes.trim_ascii_end().last(), Some(b'}' | b']')) {
            return Some(found);
        }
        let text = std::mem::take(&mut self.bytes);
        let mut documents = Values::new(&text);
        documents.by_ref().for_each(|document| found.take(Some(&document)));
        self.bytes = documents.rest().to_vec();
        Some(found)
    }

    /// Drops what no document has come of. Returns whether there was any.
    pub fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.bytes).trim_ascii().is_empty()
    }
}
