//! MQTT over mutual TLS: a server of MQTT 5 and 3.1.1 whose PUBACK waits for the application, and a client of MQTT 5.
//!
//! Two layers. [`ServerConnection`] and [`ClientConnection`] are state machines without clock, socket or entropy: bytes
//! and commands in, events and bytes out; a simulator runs them over its own links. [`Server`] and [`Client`] run them
//! over tokio and rustls.
//!
//! **Invariant.** A QoS 1 publish is acknowledged only when the application says so, once, with the reason it gives; a
//! publish that it never decides on is never acknowledged. A peer is who its certificate says
//! ([`voltmesh_identity::Peer`]); the client id only tells several sessions of one peer apart.
//!
//! **Provided**: MQTT 5 and 3.1.1 on one port, QoS 0 and 1 both ways, flow control both ways, limits on packets, bytes in
//! flight, time to connect and silence of a session; [`Bounds`] of each source address and identity, so that nobody shuts
//! others out; topics, subscriptions and wills decided by a [`Policy`]; reason strings; revocation that ends live sessions
//! on both sides. **Not provided**: QoS 2, retained messages, sessions that outlive their connection, topic aliases,
//! shared subscriptions, forwarding between clients: this is an ingest point, not a broker. MQTT 3.1 clients are told so.
//!
//! ```
//! use std::time::Duration;
//! use voltmesh_mqtt::*;
//!
//! struct All;
//! impl Policy for All {
//!     fn may_publish(&self, _: &Identity, _: &str) -> Result<(), Reason> { Ok(()) }
//!     fn may_subscribe(&self, _: &Identity, _: &str) -> Result<(), Reason> { Ok(()) }
//! }
//!
//! let now = Moment::from_millis(0);
//! let vehicle: Identity = "urn:voltmesh:edge:car-1".parse().unwrap();
//! let mut server = ServerConnection::new(now, vehicle, std::sync::Arc::new(All), Limits::default());
//! let mut client = ClientConnection::new(now, ClientOptions::default()).unwrap();
//! server.handle(now, ServerInput::Received(&client.take_bytes()));
//! client.handle(now, ClientInput::Received(&server.take_bytes()));
//! client.handle(now, ClientInput::Publish(Outgoing::new("v1/car-1/sample", "{}".into(), 7)));
//! let heard = server.handle(now, ServerInput::Received(&client.take_bytes()));
//! let [ServerOutput::Publishes(items)] = &heard[..] else { panic!("{heard:?}") };
//! // Nothing is acknowledged until the application has stored it:
//! assert!(server.take_bytes().is_empty());
//! server.handle(now, ServerInput::Accept(items[0].token));
//! let told = client.handle(now, ClientInput::Received(&server.take_bytes()));
//! assert!(matches!(&told[..], [ClientOutput::Completed(done)] if done[..] == [(7, Reason::SUCCESS)]));
//! ```
#![forbid(unsafe_code)]

mod acceptor;
mod account;
mod admission;
mod bounds;
mod client;
mod connection;
mod counters;
mod descriptors;
mod doors;
mod error;
mod event;
mod log_limiter;
mod places;
mod pump;
mod reason;
mod server;
mod server_state;
mod session;
mod session_task;
mod settings;
mod standing;
mod strangers;
mod topic;

pub use bounds::Bounds;
pub use client::{Client, ClientEvent, ClientEvents, ClientSettings};
pub use connection::{
    ClientConnection, ClientInput, ClientOptions, ClientOutput, Door, End, Incoming, Limits, Moment,
    Outgoing, Policy, Qos, ServerConnection, ServerInput, ServerOutput, Tag, Token, Version,
};
pub use counters::Counters;
pub use descriptors::Descriptors;
pub use error::Error;
pub use event::ServerEvent;
pub use log_limiter::{LogLimiter, Unwritten};
pub use reason::{Reason, Refusal};
pub use server::{Server, ServerEvents, ServerFigures};
pub use session::{Session, SessionId};
pub use settings::ServerSettings;
pub use topic::{filter_matches, is_filter, is_topic};
pub use voltmesh_identity::{Identity, Peer, Role};
