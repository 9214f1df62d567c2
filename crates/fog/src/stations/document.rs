//! Documents of JSON among a feed's bytes: one or many, over several lines or one a line, each read as soon as it is complete.

use serde_json::Value;
use voltmesh_stations::feeds::{self, Reading};

/// Most bytes of documents that are held, 64 MiB: three times France's whole table of charging points.
pub const MAX_DOCUMENT: usize = 64 << 20;

/// What was read of some documents.
#[derive(Debug, Default)]
pub struct Documents {
    /// Statuses, in the order in which they stand.
    pub readings: Vec<Reading>,
    /// Documents that are none of the kinds that are read.
    pub strange: u64,
}

/// Whether a feed that begins with these bytes is JSON.
pub fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    feeds::is_json(bytes.trim_ascii_start())
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
        // A document ends with a bracket: nothing else is worth a look.
        if !matches!(self.bytes.trim_ascii_end().last(), Some(b'}' | b']')) {
            return Some(found);
        }
        let text = std::mem::take(&mut self.bytes);
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        let mut documents = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        let mut used = 0;
        while let Some(Ok(document)) = documents.next() {
            used = documents.byte_offset();
            match feeds::of_live_value(&document) {
                Some((_, readings)) => found.readings.extend(readings),
                None => found.strange += 1,
            }
        }
        self.bytes = text[used..].trim_ascii_start().to_vec();
        Some(found)
    }

    /// Drops what no document has come of. Returns whether there was any.
    pub fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.bytes).trim_ascii().is_empty()
    }
}
