//! Keys in a token: found or made, and used to sign, by PKCS #11. A private key never leaves the token.

use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::TokenUri;
use crate::passphrase::Passphrase;
use crate::{Error, files};

/// Kind of a key pair in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256, for certificates.
    P256,
    /// Edwards 25519, for signatures of operators.
    Ed25519,
}

impl Curve {
    /// DER of its name: RFC 5480 2.1.1.1 for P-256; for Ed25519 the printable name of PKCS #11 2.40, section 2.3.5.
    fn parameters(self) -> Vec<u8> {
        match self {
            Self::P256 => vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::Ed25519 => [&[0x13, 0x0c][..], b"edwards25519"].concat(),
        }
    }

    fn generation(self) -> Mechanism<'static> {
        match self {
            Self::P256 => Mechanism::EccKeyPairGen,
            Self::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        }
    }

    /// Bytes of its public key: an uncompressed point, or the 32 bytes of RFC 8032.
    fn point_bytes(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::Ed25519 => 32,
        }
    }
}

/// Key pair in a token, with an open session.
pub struct TokenKey {
    session: Mutex<Session>,
    private: ObjectHandle,
    curve: Curve,
    public: Vec<u8>,
    uri: TokenUri,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("uri", &self.uri).field("curve", &self.curve).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// The key of this label.
    ///
    /// # Errors
    /// [`Error::Token`] where the library, the token or the key is not there, or the PIN is refused.
    pub fn open(uri: &TokenUri, curve: Curve) -> Result<Self, Error> {
        let session = session(uri)?;
        Self::find(&session, uri, curve)?
            .ok_or_else(|| refuse(uri, format!("no key pair in it is called {:?}", uri.object)))
            .map(|(private, public)| Self {
                session: Mutex::new(session),
                private,
                curve,
                public,
                uri: uri.clone(),
            })
    }

    /// The key of this label; made in the token if there is none, never to leave it.
    ///
    /// # Errors
    /// As [`TokenKey::open`].
    pub fn open_or_make(uri: &TokenUri, curve: Curve) -> Result<Self, Error> {
        let session = session(uri)?;
        if Self::find(&session, uri, curve)?.is_none() {
            let label = || Attribute::Label(uri.object.clone().into_bytes());
            let public = [
                Attribute::Token(true),
                Attribute::Verify(true),
                label(),
                Attribute::EcParams(curve.parameters()),
            ];
            let private = [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                label(),
            ];
            session
                .generate_key_pair(&curve.generation(), &public, &private)
                .map_err(|error| failed(uri, "it makes no key pair", &error))?;
        }
        drop(session);
        Self::open(uri, curve)
    }

    /// Its private key's handle and public key.
    fn find(
        session: &Session,
        uri: &TokenUri,
        curve: Curve,
    ) -> Result<Option<(ObjectHandle, Vec<u8>)>, Error> {
        let one = |class: ObjectClass| {
            let template = [Attribute::Class(class), Attribute::Label(uri.object.clone().into_bytes())];
            let found = session
                .find_objects(&template)
                .map_err(|error| failed(uri, "it cannot be searched", &error))?;
            match found[..] {
                [] => Ok(None),
                [one] => Ok(Some(one)),
                _ => Err(refuse(uri, format!("{} keys in it are called {:?}", found.len(), uri.object))),
            }
        };
        let (Some(private), Some(public)) = (one(ObjectClass::PRIVATE_KEY)?, one(ObjectClass::PUBLIC_KEY)?)
        else {
            return Ok(None);
        };
        let attributes = session
            .get_attributes(public, &[AttributeType::EcPoint])
            .map_err(|error| failed(uri, "its public key cannot be read", &error))?;
        let point = attributes.into_iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(bytes) => Some(bytes),
            _ => None,
        });
        let point = point.ok_or_else(|| refuse(uri, "its public key has no point".to_owned()))?;
        // An OCTET STRING around the point (PKCS #11 3.0, 2.3.3); some libraries leave it away for Edwards curves.
        let length = curve.point_bytes();
        let bare = match point.as_slice() {
            [0x04, size, rest @ ..] if usize::from(*size) == length && rest.len() == length => rest.to_vec(),
            _ if point.len() == length => point,
            _ => return Err(refuse(uri, format!("the key {:?} is not on the curve {curve:?}", uri.object))),
        };
        Ok(Some((private, bare)))
    }

    /// Its place.
    pub fn uri(&self) -> &TokenUri {
        &self.uri
    }

    /// Its public key: an uncompressed point of P-256, or 32 bytes of Ed25519.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Its public key of Ed25519.
    ///
    /// # Errors
    /// [`Error::Token`] for another curve.
    pub fn verifying_key(&self) -> Result<VerifyingKey, Error> {
        let bytes = <[u8; 32]>::try_from(self.public.as_slice());
        let key = bytes.ok().and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        key.ok_or_else(|| refuse(&self.uri, "its public key is none of Ed25519".to_owned()))
    }

    /// Signs: Ed25519 of RFC 8032 in 64 bytes, or ECDSA with SHA-256 as DER.
    ///
    /// # Errors
    /// [`Error::Token`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let signature = match self.curve {
            Curve::P256 => {
                let digest = Sha256::digest(message);
                session.sign(&Mechanism::Ecdsa, self.private, &digest)
            }
            Curve::Ed25519 => {
                let parameters = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                session.sign(&Mechanism::Eddsa(parameters), self.private, message)
            }
        };
        let signature = signature.map_err(|error| failed(&self.uri, "it does not sign", &error))?;
        if signature.len() != 64 {
            return Err(refuse(&self.uri, format!("its signature has {} bytes, not 64", signature.len())));
        }
        Ok(match self.curve {
            Curve::P256 => ecdsa_der(&signature),
            Curve::Ed25519 => signature,
        })
    }
}

impl rcgen::PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.curve {
            Curve::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Curve::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

impl rcgen::SigningKey for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        TokenKey::sign(self, message).map_err(|error| {
            tracing::error!("{error}");
            rcgen::Error::RemoteKeyError
        })
    }
}

/// RFC 3279 2.2.3: `SEQUENCE { INTEGER r, INTEGER s }` of the two halves.
fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let start = half.iter().position(|byte| *byte != 0).unwrap_or(half.len() - 1);
        let mut bytes = half[start..].to_vec();
        if bytes[0] & 0x80 != 0 {
            bytes.insert(0, 0);
        }
        [&[0x02, bytes.len() as u8][..], &bytes].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}

/// An open session with the PIN given.
fn session(uri: &TokenUri) -> Result<Session, Error> {
    let library =
        Pkcs11::new(&uri.module).map_err(|error| failed(uri, "its library cannot be loaded", &error))?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(TokenError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(uri, "its library does not start", &error)),
    }
    let slots = library.get_slots_with_token().map_err(|error| failed(uri, "it has no slots", &error))?;
    let named = slots.into_iter().filter(|slot| {
        library.get_token_info(*slot).is_ok_and(|info| {
            uri.token.as_deref().is_none_or(|label| info.label().trim_end() == label)
                && uri.serial.as_deref().is_none_or(|serial| info.serial_number().trim_end() == serial)
        })
    });
    let slot = match named.collect::<Vec<_>>()[..] {
        [slot] => slot,
        [] => return Err(refuse(uri, "no token of that name is there".to_owned())),
        _ => return Err(refuse(uri, "several tokens have that name: give the serial as well".to_owned())),
    };
    let session = library.open_rw_session(slot).map_err(|error| failed(uri, "no session opens", &error))?;
    let pin = pin(uri)?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
        Ok(()) | Err(TokenError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(failed(uri, "the PIN is not taken", &error)),
    }
}

/// From the file that the URI names, else the passphrase of this process.
fn pin(uri: &TokenUri) -> Result<Zeroizing<String>, Error> {
    let text = match &uri.pin_source {
        Some(file) => Zeroizing::new(files::read_private(file)?.to_string()),
        None => {
            let passphrase = Passphrase::of_process().map_err(|problem| refuse(uri, problem))?;
            let text = String::from_utf8(passphrase.as_bytes().to_vec());
            Zeroizing::new(text.map_err(|_| refuse(uri, "its PIN is not UTF-8".to_owned()))?)
        }
    };
    let pin = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if pin.is_empty() { Err(refuse(uri, "its PIN is empty".to_owned())) } else { Ok(pin) }
}

fn refuse(uri: &TokenUri, problem: String) -> Error {
    Error::Token { uri: uri.to_string(), problem }
}

fn failed(uri: &TokenUri, what: &str, error: &TokenError) -> Error {
    refuse(uri, format!("{what} ({error})"))
}
