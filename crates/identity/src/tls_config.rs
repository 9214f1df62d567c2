//! TLS configurations of a participant, as a server and as a client.

use std::sync::Arc;

use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};

use crate::tls::{
    ClientVerifier, Expected, IssuingPath, ServerVerifier, Side, client_verifier, provider, roots,
};
use crate::{Credentials, Error, RevocationWatch};

/// Application protocol of both sides (RFC 7301), offered but not required: foreign clients know none.
const ALPN: &[u8] = b"mqtt";

impl Credentials {
    /// For a server: TLS 1.3, a client certificate of the same CA required and checked against the revocation list.
    /// Sessions are not resumed, since resumption would skip that check.
    pub fn server_config(&self, revoked: &RevocationWatch) -> Result<Arc<ServerConfig>, Error> {
        let provider = provider();
        let verifier = Arc::new(ClientVerifier {
            path: IssuingPath::of(&self.ca)?,
            chain: client_verifier(&self.ca)?,
            revoked: revoked.clone(),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.renewal.resolver(Side::Server));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    /// For a client: TLS 1.3, own certificate shown, the server's identity as expected, and not revoked if a list is at
    /// hand.
    pub fn client_config(
        &self,
        expected: Expected,
        revoked: Option<&RevocationWatch>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let provider = provider();
        let verifier = Arc::new(ServerVerifier {
            path: IssuingPath::of(&self.ca)?,
            roots: roots(&self.ca)?,
            provider: provider.clone(),
            expected,
            revoked: revoked.cloned(),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(self.renewal.resolver(Side::Client));
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }
}
