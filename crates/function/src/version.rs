//! Versions of three numbers: of releases, and of the interface.

use std::{fmt, str::FromStr};

/// Version of three numbers, as in `1.4.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Breaks who used it.
    pub major: u32,
    /// Adds to it.
    pub minor: u32,
    /// Mends it.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no version of three numbers such as `1.4.0`");
        let number = |part: Option<&str>| {
            let part = part.ok_or_else(wrong)?;
            let plain =
                part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse().map_err(|_| wrong()) } else { Err(wrong()) }
        };
        let mut parts = text.split('.');
        let version =
            Self { major: number(parts.next())?, minor: number(parts.next())?, patch: number(parts.next())? };
        if parts.next().is_some() { Err(wrong()) } else { Ok(version) }
    }
}

/// Version of the interface in `wit/function.wit`.
pub const WIT_VERSION: Version = Version { major: 1, minor: 0, patch: 0 };
