//! The HTTP interface: who may ask, and whose questions are entered in the audit log.

use super::error::Error;
use crate::{config::Http, http::api::DESCRIPTION};
use std::sync::Arc;
use tokio::net::TcpListener;
use voltmesh_http::{Asked, Figures, Rules, Settings, Tls, Token};
use voltmesh_identity::{Credentials, Role};

/// Roles that may read the archive over TLS.
pub(super) const READERS: [Role; 3] = [Role::Operator, Role::Cloud, Role::Controller];
/// Paths that tell what vehicles sent: who is answered is entered in the audit log.
const RECORDED: [&str; 2] = ["/v1/vehicles/", "/v1/records/"];

/// Opens the HTTP interface.
pub(super) async fn listen(
    config: &Http,
    app: axum::Router,
    credentials: &Credentials,
    tls: Tls,
    figures: Arc<Figures>,
) -> Result<voltmesh_http::Server, Error> {
    let names = config.names()?.with_certificate(&credentials.names()?);
    let token = config.token_file.as_deref().map(Token::read).transpose()?;
    let rules = Rules::new(names).with_token(token, Asked::Everywhere { but: &[DESCRIPTION] });
    let settings = Settings {
        connections: config.max_connections,
        connections_per_source: config.max_connections_per_source,
        recorded: &RECORDED,
        // What reads the archive: a page of 10,000 records takes a processor for a second.
        costly: &RECORDED,
        ..Settings::default()
    };
    let cannot = |source| Error::io(format!("cannot listen on {} (http.listen)", config.listen), source);
    let listener = TcpListener::bind(config.listen).await.map_err(cannot)?;
    voltmesh_http::serve(listener, app, rules, settings, config.tls.then_some(tls), figures).map_err(cannot)
}
