//! Requests to the store, and its answers.

use bytes::Bytes;
use object_store::{CopyOptions, Error, GetOptions, GetResult, ObjectMeta, PutPayload, path::Path};

/// One request of the product's code.
#[derive(Clone, Debug)]
pub enum Request {
    /// Writes an object; with `create` only if there is none.
    Put {
        /// Where.
        path: Path,
        /// What.
        payload: PutPayload,
        /// Only if there is none.
        create: bool,
    },
    /// Reads an object or a part of it.
    Get {
        /// Which.
        path: Path,
        /// Which part, and when.
        options: GetOptions,
    },
    /// Reads parts of an object.
    Parts {
        /// Which.
        path: Path,
        /// Which parts.
        ranges: Vec<std::ops::Range<u64>>,
    },
    /// Lists what is below a prefix, and after an offset.
    List {
        /// Below which prefix.
        prefix: Option<Path>,
        /// After which path.
        offset: Option<Path>,
    },
    /// Deletes an object.
    Delete {
        /// Which.
        path: Path,
    },
    /// Copies an object.
    Copy {
        /// From where.
        from: Path,
        /// To where.
        to: Path,
        /// On which condition.
        options: CopyOptions,
    },
}

impl Request {
    /// Whether it changes what the store holds.
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Delete { .. } | Self::Copy { .. })
    }
}

/// The answer to a request.
#[derive(Debug)]
pub enum Response {
    /// It is done.
    Done,
    /// To [`Request::Get`].
    Object(GetResult),
    /// To [`Request::Parts`].
    Parts(Vec<Bytes>),
    /// To [`Request::List`].
    Listed(Vec<ObjectMeta>),
}

/// An error of the simulated store.
pub(super) fn failed(why: &'static str) -> Error {
    Error::Generic { store: "SimulatedStore", source: why.into() }
}
