//! Verification of peers: who may be a client, and who is the server that is expected.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Error, Identity, Peer, RevocationWatch, Role, issuer_serials, peer};

/// Whom a client accepts as its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The role in its certificate.
    pub role: Role,
    /// The very one, or any of that role.
    pub id: Option<String>,
}

impl Expected {
    /// Any server of a role.
    pub fn role(role: Role) -> Expected {
        Expected { role, id: None }
    }

    /// One server only.
    pub fn identity(identity: &Identity) -> Expected {
        Expected { role: identity.role, id: Some(identity.id().to_owned()) }
    }

    fn admits(&self, identity: &Identity) -> bool {
        identity.role == self.role && self.id.as_deref().is_none_or(|id| id == identity.id())
    }
}

/// The name to hand to a TLS connector with a configuration from [`crate::Credentials::client_config`]. Such a client verifies
/// its server by the URI in its certificate; an address is never sent, so nothing on the path learns a name.
pub fn server_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST).into())
}

/// Side of a connection that a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Others connect to its holder.
    Server,
    /// Its holder connects to others.
    Client,
}

/// What a peer with the same CA would say to this chain now.
pub(crate) fn verify(
    side: Side,
    chain: &[CertificateDer<'_>],
    ca: &CertificateDer<'static>,
) -> Result<(), rustls::Error> {
    let (own, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    let now = UnixTime::now();
    let between = IssuingPath::of(ca)?.allowed(between)?;
    match side {
        Side::Server => verify_server(own, between, &*roots(ca)?, now, &provider()),
        Side::Client => client_verifier(ca)?.verify_client_cert(own, between, now).map(drop),
    }
}

pub(crate) fn client_verifier(
    ca: &CertificateDer<'static>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

fn verify_server(
    own: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(own)?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, between, now, algorithms)
}

pub(crate) fn roots(ca: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    Ok(Arc::new(roots))
}

/// Two providers are in the dependency tree, so the default one is never relied on.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Which certificates may stand between the CA and a peer's.
///
/// TLS libraries take a trust anchor's name and key only; its path length constraint (RFC 5280 4.2.1.9) is checked here.
/// A CA of [`crate::Pki`] has length 0: it signs every certificate itself. One without a constraint allows any path.
#[derive(Debug)]
pub(crate) struct IssuingPath {
    ca: CertificateDer<'static>,
    most: Option<usize>,
}

impl IssuingPath {
    pub(crate) fn of(ca: &CertificateDer<'static>) -> Result<IssuingPath, rustls::Error> {
        let most = peer::path_length(ca).map_err(other)?;
        Ok(IssuingPath { ca: ca.clone(), most })
    }

    /// The intermediate certificates that the peer's may be verified with.
    fn allowed<'a, 'b>(
        &self,
        shown: &'a [CertificateDer<'b>],
    ) -> Result<&'a [CertificateDer<'b>], rustls::Error> {
        let count = shown.iter().filter(|certificate| **certificate != self.ca).count();
        match self.most {
            // What is shown in excess does no harm if nothing is verified with it.
            Some(0) => Ok(&[]),
            Some(most) if count > most => {
                let problem = format!("{count} intermediate CAs, the fleet's CA allows {most}");
                Err(other(Error::Certificate { problem }))
            }
            _ => Ok(shown),
        }
    }
}

/// Looks up the numbers of the peer's certificate and of all that it shows besides.
fn check_revocation(
    peer: &Peer,
    between: &[CertificateDer<'_>],
    revoked: &RevocationWatch,
) -> Result<(), rustls::Error> {
    revoked.poll();
    if revoked.is_unusable() {
        return Err(CertificateError::ExpiredRevocationList.into());
    }
    let issuers = issuer_serials(between).map_err(other)?;
    if let Some(serial) = std::iter::once(&peer.serial).chain(&issuers).find(|it| revoked.is_revoked(it)) {
        // Whoever connects says so in its log, with a bound on the lines.
        tracing::debug!(peer = %peer.identity, %serial, "refused: a certificate of its chain is revoked");
        return Err(CertificateError::Revoked.into());
    }
    Ok(())
}

fn other(error: Error) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// Chain, time and usage by webpki; identity and revocation here.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) path: IssuingPath,
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) revoked: RevocationWatch,
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let between = self.path.allowed(intermediates)?;
        let verified = self.chain.verify_client_cert(end_entity, between, now)?;
        let peer = Peer::from_der(end_entity).map_err(other)?;
        check_revocation(&peer, intermediates, &self.revoked)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The server is known by role and id in its certificate, whatever its address is.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pub(crate) path: IssuingPath,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) expected: Expected,
    pub(crate) revoked: Option<RevocationWatch>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let between = self.path.allowed(intermediates)?;
        verify_server(end_entity, between, &self.roots, now, &self.provider)?;
        let peer = Peer::from_der(end_entity).map_err(other)?;
        if !self.expected.admits(&peer.identity) {
            let wanted = self.expected.id.as_deref().unwrap_or("*");
            let problem =
                format!("it belongs to {}, but {}:{wanted} is expected", peer.identity, self.expected.role);
            return Err(other(Error::Certificate { problem }));
        }
        if let Some(revoked) = &self.revoked {
            check_revocation(&peer, intermediates, revoked)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
