//! What lies between the nodes: links, the authorities' connections over them, and MQTT sessions.

mod address;
mod connection;
mod mailbox;
pub mod mqtt_session;
mod p2p;
mod streams;

pub use address::NodeAddress;
pub use mailbox::MeshReceiver;
pub use p2p::{Addressed, Counters, Mesh, MeshSender, MessageQuality, Port};
pub use streams::{Incoming, LinkQuality, Net, Stream, Unreachable};
