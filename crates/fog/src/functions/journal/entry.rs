//! Entries of the log as bytes: their kind, then JSON.

use bytes::{BufMut as _, Bytes, BytesMut};
use voltmesh_control::FunctionEvent;
use voltmesh_function::Snapshot;

/// Kind of an event's entry.
pub const EVENT: u8 = 1;

/// Kind of a snapshot's entry.
pub const SNAPSHOT: u8 = 2;

/// An entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// What a function said.
    Event(Box<FunctionEvent>),
    /// What is needed to go on.
    Snapshot(Box<Snapshot>),
}

impl Entry {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &Bytes) -> Result<Self, String> {
        match bytes.split_first() {
            Some((&EVENT, json)) => {
                serde_json::from_slice(json).map(Self::Event).map_err(|error| error.to_string())
            }
            Some((&SNAPSHOT, json)) => {
                Snapshot::decode(json).map(|snapshot| Self::Snapshot(Box::new(snapshot)))
            }
            Some((kind, _)) => Err(format!("kind {kind} is unknown")),
            None => Err("it is empty".to_owned()),
        }
    }

    /// What the ledger commits to of an event's entry: the event as it was said, in JSON.
    pub fn said(bytes: &Bytes) -> Bytes {
        bytes.slice(bytes.len().min(1)..)
    }
}

/// An entry of a kind.
pub fn entry(kind: u8, json: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + json.len());
    bytes.put_u8(kind);
    bytes.put_slice(json);
    bytes.freeze()
}
