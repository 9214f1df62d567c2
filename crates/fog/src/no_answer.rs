//! Why a server did not answer, without the address: its query says where a vehicle is, or is a secret.

use std::error::Error;

/// The innermost cause of a request that brought no answer, or that time ran out.
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "not in time".to_owned();
    }
    let mut innermost = error.source();
    while let Some(cause) = innermost.and_then(Error::source) {
        innermost = Some(cause);
    }
    innermost.map_or_else(|| "broken off".to_owned(), ToString::to_string)
}
