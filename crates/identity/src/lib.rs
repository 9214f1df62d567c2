//! Identities of participants: development CA, certificates, SAN identities, revocation, TLS configurations.
//!
//! A participant is an [`Identity`], a role and an id, written into its certificate as the URI
//! `urn:voltmesh:<role>:<id>`. Nothing else names a peer: no DNS name, no MQTT client id, no address.
//!
//! **Invariant.** A TLS session made with [`Credentials::server_config`] or [`Credentials::client_config`] is TLS 1.3,
//! both sides hold a certificate of the same CA that is in its time and not on the revocation list, and exactly one
//! identity is in it. Between the two stand only as many intermediate CAs as the CA's own certificate allows, none of
//! them revoked; a CA of [`Pki`] allows none. A private key never exists on disk with more than mode 0600, not even for a moment, and one that others may
//! read is not used.
//!
//! **Provided**: [`Pki`] (a development CA in a folder: init, issue, sign requests, renew, revoke, show), keys made where they
//! live ([`make_request`], [`install`]), keys encrypted with a passphrase ([`KeyForm`]), keys of the CA and of
//! operators in a token ([`pkcs11`], [`Signer`]), [`RevocationWatch`] (a changed
//! list reaches running servers without restart), TLS configurations (a renewed certificate
//! reaches running processes likewise), Ed25519 signing keys apart from the TLS keys.
//! **Not provided**: issuing by intermediate CAs, OCSP, TLS keys in hardware, another CA without restart. For a production CA, write the same files with your own tool; only the URI and the two key usages
//! matter.
//!
//! ```
//! use voltmesh_identity::{Credentials, Identity, Pki, RevocationWatch, Role};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let pki = Pki::init(&folder.path().join("pki"))?;
//! let fog: Identity = "urn:voltmesh:fog:fog-1".parse()?;
//! let issued = pki.issue(&fog, &[], 30)?;
//! let credentials = Credentials::load(&issued.folder)?;
//! let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca)?;
//! let _tls = credentials.server_config(&revoked)?;
//! assert_eq!(fog.role, Role::Fog);
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod ca_key;
mod credentials;
mod error;
mod files;
mod index;
mod keyfile;
mod name;
mod pair;
mod passphrase;
mod peer;
pub mod pkcs11;
mod pki;
mod renewal;
mod request;
mod revocation;
mod signer;
mod subject;
mod tls;
mod tls_config;

pub use credentials::{
    Credentials, make_next_signing_key, read_signing_key, use_next_signing_key, write_signing_key,
};
pub use error::Error;
pub use files::{create_private_dir, read_private, read_token, rename, write_private, write_public};
pub use index::{Entry, OneRole, Reason, Revoked, Status};
pub use keyfile::{KeyForm, decrypt_key_file, encrypt_key_file, is_key_file_encrypted};
pub use name::{Identity, Role};
pub use passphrase::{PASSPHRASE_CREDENTIAL, PASSPHRASE_FD, PASSPHRASE_FILE, read_passphrase_early};
pub use peer::{Peer, Serial, issuer_serials};
pub use pki::{Issued, Pki, Target};
pub use request::{Requested, install, make_request};
pub use revocation::{ExpiredList, RevocationWatch};
pub use signer::Signer;
pub use tls::{Expected, server_name};
