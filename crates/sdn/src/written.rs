//! Files as people write them: TOML of one version, and the line of what is wrong.

use serde::de::DeserializeOwned;

/// The line of a place in a text, from 1.
pub fn line(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// Reads TOML; the error is its line and the reason.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text)
        .map_err(|error| (line(text, error.span().map_or(0, |span| span.start)), error.message().to_owned()))
}
