//! The HTTP server of all roles: bounded connections, timeouts, and who may ask what from where.
//!
//! **Invariant.** Whoever sends a request at once is answered, whatever number of connections others hold open in silence: at a
//! bound, the connection that has let the server wait longest gives way. No handler sees a request that named another host, came from
//! another site, or would change something without the credential and the content type that are asked for.
//!
//! **Provided**: [`serve`] with [`Settings`] (bounds of connections by source address or identity, of headers, bodies and times) and
//! [`Rules`] (names, origins, content types, a bearer token); TLS with client certificates, whose connections end when the certificate
//! is revoked or ends; one type of error body ([`Problem`]) and one format of metrics ([`Exposition`]); offsets of times in queries that are not escaped; [`Figures`] of
//! all refusals.
//! **Not provided**: HTTP/2, CORS, compression, pages, rate limits of requests beyond the turns of those that cost much.
//!
//! ```
//! use voltmesh_http::{Figures, Names, Rules, Settings, serve};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let router = axum::Router::new().route("/status", axum::routing::get(|| async { "fine" }));
//! let rules = Rules::new(Names::parse(&["fog-1.example"], &[])?);
//! let server = serve(listener, router, rules, Settings::default(), None, Figures::new())?;
//! println!("http://{}/status", server.address());
//! server.shutdown().await;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod authority;
mod body;
mod connection;
mod exposition;
mod figures;
mod gate;
mod malformed;
mod offsets;
mod owner;
mod pace;
mod places;
mod problem;
mod process;
mod rules;
mod server;
mod settings;
mod turns;

pub use authority::{Authority, Host};
pub use exposition::Exposition;
pub use figures::Figures;
pub use problem::{Problem, Refusal};
pub use process::{Confined, Confinement, Process, Sandbox, termination};
pub use rules::{Asked, NameError, Names, Rules, Token, TokenError};
pub use server::{Server, Tls, serve};
pub use settings::Settings;

#[cfg(test)]
mod tests;
