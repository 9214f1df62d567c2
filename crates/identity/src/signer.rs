//! A key that signs decisions: in a file, or in a token.

use std::path::Path;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::pkcs11::TokenUri;
use crate::{Error, files, read_signing_key};

/// Key that signs with Ed25519, wherever it is kept.
#[derive(Debug)]
pub enum Signer {
    /// In a file.
    File(SigningKey),
    /// In a token.
    #[cfg(feature = "pkcs11")]
    Token(crate::pkcs11::TokenKey),
}

impl Signer {
    /// The key that `place` names: a `sign.key`, a `pkcs11:` URI, or a file `sign.uri` that holds such a URI.
    ///
    /// # Errors
    /// Those of key files and tokens; [`Error::NoTokens`] where this program was built without them.
    pub fn open(place: &Path) -> Result<Self, Error> {
        let text = place.to_string_lossy();
        if TokenUri::is_one(&text) {
            return Self::in_token(&text.parse()?);
        }
        if place.extension().is_some_and(|extension| extension == "uri") {
            return Self::in_token(&files::read_text(place)?.parse()?);
        }
        read_signing_key(place).map(Self::File)
    }

    #[cfg(feature = "pkcs11")]
    fn in_token(uri: &TokenUri) -> Result<Self, Error> {
        use crate::pkcs11::{Curve, TokenKey};
        TokenKey::open(uri, Curve::Ed25519).map(Self::Token)
    }

    #[cfg(not(feature = "pkcs11"))]
    fn in_token(uri: &TokenUri) -> Result<Self, Error> {
        Err(Error::NoTokens { uri: uri.to_string() })
    }

    /// Its public half.
    ///
    /// # Errors
    /// Where a token's key is none of Ed25519.
    pub fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        match self {
            Self::File(key) => Ok(key.verifying_key()),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => key.verifying_key(),
        }
    }

    /// Signs as RFC 8032 says.
    ///
    /// # Errors
    /// Where a token does not sign, or wrongly.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        match self {
            Self::File(key) => Ok(key.sign(message)),
            #[cfg(feature = "pkcs11")]
            Self::Token(key) => {
                let wrong =
                    |problem: &str| Error::Token { uri: key.uri().to_string(), problem: problem.to_owned() };
                let bytes = key.sign(message)?;
                let signature =
                    Signature::from_slice(&bytes).map_err(|_| wrong("its signature has a wrong form"))?;
                key.verifying_key()?
                    .verify_strict(message, &signature)
                    .map_err(|_| wrong("its signature does not verify with its own public key"))?;
                Ok(signature)
            }
        }
    }
}

/// The public half of a key in a token, made there if there is none.
#[cfg(feature = "pkcs11")]
pub(crate) fn open_or_make(place: &TokenUri) -> Result<VerifyingKey, Error> {
    use crate::pkcs11::{Curve, TokenKey};
    TokenKey::open_or_make(place, Curve::Ed25519)?.verifying_key()
}

#[cfg(not(feature = "pkcs11"))]
pub(crate) fn open_or_make(place: &TokenUri) -> Result<VerifyingKey, Error> {
    Err(Error::NoTokens { uri: place.to_string() })
}
