//! Keys in hardware: which key of which token (RFC 7512), and signing with it, where the program is built with `pkcs11`.

mod uri;

#[cfg(feature = "pkcs11")]
mod token;

pub use uri::TokenUri;

#[cfg(feature = "pkcs11")]
pub use token::{Curve, TokenKey};
