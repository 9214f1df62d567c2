//! Keys that are made where they live: a certificate signing request out, a certificate in.
//!
//! The private keys never leave their folder, and the CA never sees them. The request (PKCS #10, RFC 2986) proves that whoever
//! made it holds the key; of what it asks for, the CA takes nothing but that key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, SubjectPublicKeyInfo};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use crate::keyfile::{self, KeyForm};
use crate::pair::read_certificates;
use crate::subject::{alternative_names, common_name};
use crate::tls::{self, Side};
use crate::{Error, Identity, Peer, credentials, files};

/// Largest request that is read: one of RSA with 16,384 bits would have some 5 kB in PEM.
const MAX_REQUEST_BYTES: usize = 16 << 10;

/// A TLS key that waits for its certificate.
const NEXT_KEY: &str = "tls.key.next";
/// The request that goes to the CA.
const REQUEST: &str = "request.csr";

/// Files that [`make_request`] made.
#[derive(Clone, Debug)]
pub struct Requested {
    /// What goes to the CA.
    pub request: PathBuf,
    /// The public half of the signing key, for the registry.
    pub sign_pub: PathBuf,
}

/// Makes a TLS key, and a signing key if there is none, in a folder, and a request for a certificate of this identity. A key
/// and certificate in use stay until [`install`] replaces them.
pub fn make_request(folder: &Path, identity: &Identity, form: KeyForm) -> Result<Requested, Error> {
    files::create_private_dir(folder)?;
    let sign_key = folder.join("sign.key");
    if !sign_key.exists() {
        credentials::write_signing_key_as(folder, &credentials::new_signing_key(), form)?;
    }
    let form = match form {
        // The key that waits has another name than the one that it will replace.
        KeyForm::AsBefore if keyfile::is_key_file_encrypted(&sign_key)? => KeyForm::Encrypted,
        form => form,
    };
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&identity.folder());
    params.subject_alt_names = alternative_names(identity, &[])?;
    let request = params.serialize_request(&key)?.pem()?;
    // The key first: a request whose key is lost is of no use.
    keyfile::write(&folder.join(NEXT_KEY), &zeroize::Zeroizing::new(key.serialize_pem()), form)?;
    let path = folder.join(REQUEST);
    files::write_public(&path, request.as_bytes())?;
    Ok(Requested { request: path, sign_pub: folder.join("sign.pub") })
}

/// Takes a certificate over that a CA has made from the request of this folder: checks that it belongs to the key that waits,
/// that the CA issued it for both sides of TLS, and that identity and CA are those in use, if there are any. The pair is
/// replaced as a renewal is, the key first.
pub fn install(folder: &Path, certificate: &Path, ca: &Path) -> Result<Peer, Error> {
    let chain = read_certificates(certificate)?;
    let peer = Peer::from_der(&chain[0])
        .map_err(|error| Error::content(certificate, "a Voltmesh certificate", error))?;
    let authority = read_certificates(ca)?.swap_remove(0);
    for side in [Side::Server, Side::Client] {
        tls::verify(side, &chain, &authority)
            .map_err(|error| Error::content(certificate, "a certificate of that CA", error))?;
    }
    let waiting = folder.join(NEXT_KEY);
    let pem = keyfile::read(&waiting)?;
    let wrong = |problem: String| Error::content(&waiting, "the key of this certificate", problem);
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| wrong("no key in it can be read".to_owned()))?;
    let key = tls::provider().key_provider.load_private_key(key).map_err(|error| wrong(error.to_string()))?;
    CertifiedKey::new(chain.clone(), Arc::clone(&key)).keys_match().map_err(|_| {
        wrong("the certificate was made for another key: send the CA the newest request.csr".to_owned())
    })?;
    check_same(folder, &peer, &authority)?;
    files::write_public(&folder.join("ca.crt"), &files::read(ca)?)?;
    files::rename(&waiting, &folder.join("tls.key"))?;
    files::write_public(&folder.join("tls.crt"), &files::read(certificate)?)?;
    files::remove(&folder.join(REQUEST))?;
    Ok(peer)
}

/// A folder stays with one identity and one CA.
fn check_same(folder: &Path, peer: &Peer, ca: &CertificateDer<'_>) -> Result<(), Error> {
    let present = folder.join("tls.crt");
    if present.exists() {
        let own = Peer::from_der(&read_certificates(&present)?[0])?;
        if own.identity != peer.identity {
            let problem =
                format!("this folder is {}'s, the certificate is {}'s", own.identity, peer.identity);
            return Err(Error::content(&present, "the certificate of the same identity", problem));
        }
    }
    let present = folder.join("ca.crt");
    if present.exists() && read_certificates(&present)?[0] != *ca {
        return Err(Error::content(&present, "the CA that issued the certificate", "it is another one"));
    }
    Ok(())
}

/// The public key in a request, if its holder signed the request and asks for this identity alone. What else it asks for is
/// not looked at: names and rights are the CA's to give.
pub(crate) fn key_in(pem: &[u8], wanted: &Identity) -> Result<SubjectPublicKeyInfo, Error> {
    let refuse = |problem: String| Error::Request { identity: wanted.to_string(), problem };
    if pem.len() > MAX_REQUEST_BYTES {
        return Err(refuse(format!("it has {} bytes, {MAX_REQUEST_BYTES} at most", pem.len())));
    }
    let der = CertificateSigningRequestDer::from_pem_slice(pem)
        .map_err(|error| refuse(format!("it is no request in PEM ({error})")))?;
    let (rest, parsed) = X509CertificationRequest::from_der(&der)
        .map_err(|error| refuse(format!("it does not parse ({error})")))?;
    if !rest.is_empty() {
        return Err(refuse("bytes follow it".to_owned()));
    }
    // RFC 2986 4.2: who asks holds the key.
    parsed.verify_signature().map_err(|_| refuse("its signature is not by the key in it".to_owned()))?;
    let names = parsed.requested_extensions().into_iter().flatten().filter_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uris: Vec<&str> = names
        .flatten()
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("urn:voltmesh:") => Some(*uri),
            _ => None,
        })
        .collect();
    let &[uri] = &uris[..] else {
        return Err(refuse(format!("it names {} identities, one is wanted", uris.len())));
    };
    if uri != wanted.to_string() {
        return Err(refuse(format!("it asks for {:?}", uri.chars().take(120).collect::<String>())));
    }
    let key = SubjectPublicKeyInfo::from_der(parsed.certification_request_info.subject_pki.raw)
        .map_err(|error| refuse(format!("its key is of an unknown kind ({error})")))?;
    let algorithm = rcgen::PublicKeyData::algorithm(&key);
    let usable = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if !usable.contains(&algorithm) {
        return Err(refuse("its key is neither ECDSA P-256, ECDSA P-384 nor Ed25519".to_owned()));
    }
    Ok(key)
}
