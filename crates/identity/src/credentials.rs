//! A participant's certificate and keys in its folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::keyfile::{self, KeyForm};
use crate::pair::read_certificates;
use crate::renewal::RenewalWatch;
use crate::{Error, Peer, files, peer};

/// A participant's own certificate and keys, read from its folder.
pub struct Credentials {
    /// Who this is, and until when, as it was read: a renewed certificate has the same identity and a later end.
    pub own: Peer,
    /// The CA that issued it, and that every peer must come from.
    pub ca: CertificateDer<'static>,
    /// Signs batches, receipts and notices. Never used for TLS.
    pub signing: SigningKey,
    pub(crate) renewal: Arc<RenewalWatch>,
    folder: PathBuf,
}

impl Credentials {
    /// Reads `tls.crt`, `tls.key`, `ca.crt` and `sign.key`. The first two may be replaced while their configurations are
    /// in use: new sessions use what was renewed.
    pub fn load(folder: &Path) -> Result<Credentials, Error> {
        let renewal = RenewalWatch::open(folder)?;
        let (own, ca) = (renewal.own(), renewal.ca.clone());
        let signing = read_signing_key(&folder.join("sign.key"))?;
        Ok(Credentials { own, ca, signing, renewal, folder: folder.to_path_buf() })
    }

    /// DNS names and addresses in the certificate, as it was read: what its holder is called beside its identity.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let path = self.folder.join("tls.crt");
        let chain = read_certificates(&path)?;
        peer::names(&chain[0]).map_err(|error| Error::content(&path, "a Voltmesh certificate", error))
    }

    /// Where they were read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("own", &self.own)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Reads an Ed25519 key from a PKCS#8 PEM file that only its owner may read, encrypted or not.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, Error> {
    let pem = keyfile::read(path)?;
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|error| Error::content(path, "an Ed25519 key (PKCS#8 PEM)", error))
}

/// Writes `sign.key` (mode 0600) and `sign.pub` into a folder; encrypted if the key that it replaces was.
pub fn write_signing_key(folder: &Path, key: &SigningKey) -> Result<(), Error> {
    write_signing_key_as(folder, key, KeyForm::AsBefore)
}

/// The same, in a form that is asked for.
pub(crate) fn write_signing_key_as(folder: &Path, key: &SigningKey, form: KeyForm) -> Result<(), Error> {
    write_pair(&folder.join("sign.key"), &folder.join("sign.pub"), key, form)
}

fn write_pair(private: &Path, public: &Path, key: &SigningKey, form: KeyForm) -> Result<(), Error> {
    let pem = key.to_pkcs8_pem(LineEnding::LF);
    let pem = pem.map_err(|error| Error::content(private, "an Ed25519 key", error))?;
    keyfile::write(private, &pem, form)?;
    write_public_half(public, &key.verifying_key())
}

pub(crate) fn write_public_half(path: &Path, key: &VerifyingKey) -> Result<(), Error> {
    let pem = key.to_public_key_pem(LineEnding::LF);
    files::write_public(path, pem.map_err(|error| Error::content(path, "an Ed25519 key", error))?.as_bytes())
}

/// Names of a signing key that waits to replace the one in use, and of its public half.
const NEXT: [&str; 2] = ["sign.key.next", "sign.pub.next"];

/// Makes the signing key that will replace the one of a folder, in the same form, beside it; one that waits already stays.
/// Returns the file of its public half. [`use_next_signing_key`] puts it in force.
pub fn make_next_signing_key(folder: &Path) -> Result<PathBuf, Error> {
    let [private, public] = NEXT.map(|name| folder.join(name));
    if !private.exists() {
        let form = match keyfile::is_key_file_encrypted(&folder.join("sign.key"))? {
            true => KeyForm::Encrypted,
            false => KeyForm::AsBefore,
        };
        write_pair(&private, &public, &new_signing_key(), form)?;
    }
    // A crash may have come between the two files.
    write_public_half(&public, &read_signing_key(&private)?.verifying_key())?;
    Ok(public)
}

/// Puts the signing key in force that waits in a folder; false if none waits. The former key is gone afterwards.
pub fn use_next_signing_key(folder: &Path) -> Result<bool, Error> {
    let [private, public] = NEXT.map(|name| folder.join(name));
    if private.exists() {
        files::rename(&private, &folder.join("sign.key"))?;
    }
    if public.exists() {
        files::rename(&public, &folder.join("sign.pub"))?;
        return Ok(true);
    }
    Ok(false)
}

pub(crate) fn new_signing_key() -> SigningKey {
    SigningKey::from_bytes(&Zeroizing::new(rand::random::<[u8; 32]>()))
}
