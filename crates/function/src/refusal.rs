//! Why a release of a function is not taken.

use crate::version::Version;
use voltmesh_telemetry::Digest;

/// Reason for which a release is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No trusted publisher signed it: have one sign it, or name its key among the publishers'.
    #[error("unsigned: {0}")]
    Unsigned(&'static str),
    /// The signature or the component's digest does not fit the bytes: fetch it again.
    #[error("altered: {what}")]
    Altered {
        /// What does not fit.
        what: &'static str,
        /// The cause below, where there is one.
        #[source]
        source: Option<voltmesh_telemetry::Error>,
    },
    /// It was withdrawn: deploy another release.
    #[error("withdrawn: release {0} may not run any more; deploy another release")]
    Withdrawn(Digest),
    /// It was built for another version of the interface: build it with this one's.
    #[error(
        "wrong WIT version: it needs {found}, this node has {}; build it against that",
        crate::version::WIT_VERSION
    )]
    Interface {
        /// What it needs.
        found: String,
    },
    /// It is beyond a limit: make it smaller.
    #[error("too large: {what} has {size} bytes, at most {limit} are taken")]
    Oversized {
        /// What is too large.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The most.
        limit: usize,
    },
    /// It is no WebAssembly component, or one that uses features that are off here.
    #[error("not a component: {0}")]
    NotAComponent(String),
    /// It asks for something that functions do not get.
    #[error("imports what the world does not have: `{0}`; functions have no clock, files or sockets")]
    Import(String),
    /// It lacks an export of the world, or has it with other types.
    #[error("not a function of this interface: {0}")]
    Export(String),
    /// A field of the manifest is wrong: correct it.
    #[error("manifest: `{field}` {why}")]
    Manifest {
        /// Which field.
        field: &'static str,
        /// What is wrong and what is right.
        why: String,
    },
    /// The manifest is no valid TOML of these fields.
    #[error("manifest: it is no valid TOML of a manifest")]
    Toml(#[source] Box<toml::de::Error>),
    /// The package's bytes are no package.
    #[error("not a package: {0}")]
    NotAPackage(&'static str),
}

impl Refusal {
    pub(crate) fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), Self> {
        if size > limit { Err(Self::Oversized { what, size, limit }) } else { Ok(()) }
    }

    pub(crate) fn field(field: &'static str, why: impl Into<String>) -> Self {
        Self::Manifest { field, why: why.into() }
    }

    pub(crate) fn interface(found: &Version) -> Self {
        Self::Interface { found: found.to_string() }
    }
}
