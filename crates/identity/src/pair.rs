//! Certificates in files, and the TLS key that belongs to one.

use std::path::Path;
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Error, Peer, files, keyfile, tls};

/// A certificate and the TLS key that belongs to it.
pub(crate) struct Pair {
    pub(crate) own: Peer,
    pub(crate) certified: Arc<CertifiedKey>,
}

impl Pair {
    /// Reads `tls.crt` and `tls.key`, in this order: [`crate::Pki`] writes the key first, so that whoever finds a new
    /// certificate finds its key.
    pub(crate) fn read(folder: &Path) -> Result<Pair, Error> {
        let path = folder.join("tls.crt");
        let chain = read_certificates(&path)?;
        let own = Peer::from_der(&chain[0])
            .map_err(|error| Error::content(&path, "a Voltmesh certificate", error))?;
        let path = folder.join("tls.key");
        let pem = keyfile::read(&path)?;
        // Not the cause: it may quote the line it stumbled over.
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::content(&path, "a private key (PEM)", "no key in it can be read"))?;
        let key = tls::provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| Error::content(&path, "a private key for TLS", error))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Error::content(&path, "the key of tls.crt beside it", "it belongs to another certificate")
            }
            error => Error::content(&path, "the key of tls.crt beside it", error),
        })?;
        Ok(Pair { own, certified: Arc::new(certified) })
    }

    pub(crate) fn same(&self, other: &Pair) -> bool {
        self.certified.cert == other.certified.cert
    }
}

pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |problem: String| Error::content(path, "a certificate (PEM)", problem);
    let pem = files::read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| refuse(error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse("there is none in it".to_owned()));
    }
    Ok(chain)
}
