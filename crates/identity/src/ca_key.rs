//! The CA's own key: in a file, or in a token.

use std::path::Path;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::pkcs11::TokenUri;
use crate::{Error, files, keyfile};

/// Key that signs certificates and revocation lists.
pub(crate) enum CaKey {
    /// In a file.
    File(KeyPair),
    /// In a token.
    #[cfg(feature = "pkcs11")]
    Token(crate::pkcs11::TokenKey),
}

impl CaKey {
    /// The key in a file, or the one in a token whose place another file holds.
    pub fn open(file: &Path, place: &Path) -> Result<Self, Error> {
        if place.exists() {
            return Self::in_token(&files::read_text(place)?.parse()?, false);
        }
        let pem = keyfile::read(file)?;
        KeyPair::from_pem(&pem).map(Self::File).map_err(|error| Error::content(file, "a private key", error))
    }

    /// The key in a token; made there if there is none.
    pub fn open_or_make(place: &TokenUri) -> Result<Self, Error> {
        Self::in_token(place, true)
    }

    #[cfg(feature = "pkcs11")]
    fn in_token(place: &TokenUri, make: bool) -> Result<Self, Error> {
        use crate::pkcs11::{Curve, TokenKey};
        let open = if make { TokenKey::open_or_make } else { TokenKey::open };
        open(place, Curve::P256).map(Self::Token)
    }

    #[cfg(not(feature = "pkcs11"))]
    fn in_token(place: &TokenUri, _: bool) -> Result<Self, Error> {
        Err(Error::NoTokens { uri: place.to_string() })
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::File(key) => key.der_bytes(),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::File(key) => key.algorithm(),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.algorithm(),
        }
    }
}

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::File(key) => key.sign(message),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => SigningKey::sign(key, message),
        }
    }
}
