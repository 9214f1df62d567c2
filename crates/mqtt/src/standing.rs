//! Whether a peer's certificates are still good, after the handshake has found them so.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use voltmesh_identity::{Peer, RevocationWatch, Serial, issuer_serials};

/// A peer and the numbers of all certificates that it has shown.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) peer: Peer,
    issuers: Vec<Serial>,
}

impl Standing {
    /// `None` if the chain names nobody.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<Standing> {
        let (own, between) = chain?.split_first()?;
        Some(Standing { peer: Peer::from_der(own).ok()?, issuers: issuer_serials(between).ok()? })
    }

    /// Why the peer may no longer be here, if so.
    pub(crate) fn problem(&self, revoked: &RevocationWatch, now_s: i64) -> Option<&'static str> {
        if std::iter::once(&self.peer.serial).chain(&self.issuers).any(|serial| revoked.is_revoked(serial)) {
            Some("a certificate of its chain was revoked")
        } else if self.peer.expires_s <= now_s {
            Some("its certificate has expired")
        } else {
            None
        }
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
