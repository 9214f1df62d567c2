//! JSON text to a sample: an object of paths, or a message that holds one.

use super::object::{field_error, fields};
use super::{MAX_JSON_BYTES, messages};
use crate::{Error, Sample};

/// Reads one JSON object of full VSS paths and a `timestamp`, which must be there, with one of the quantities; or a message of
/// a VISS server or of Kuksa's databroker with such signals. What is not there is not sent. A number that a quantity cannot
/// have is refused; an optional quantity or a channel is out of range then.
///
/// # Errors
/// [`Error::Field`] with the key and the reason; text of more than [`MAX_JSON_BYTES`].
pub fn parse(json: &[u8]) -> Result<Sample, Error> {
    Error::limit("JSON sample", json.len(), MAX_JSON_BYTES)?;
    if json.trim_ascii_start().starts_with(b"[") {
        return messages::parse(json)?.sample();
    }
    let mut text = serde_json::Deserializer::from_slice(json);
    let fields = fields(&mut text)?;
    text.end().map_err(|error| field_error("JSON sample", error.to_string()))?;
    match fields.may_be_message() {
        true => messages::parse(json)?.sample(),
        false => fields.sample(),
    }
}
