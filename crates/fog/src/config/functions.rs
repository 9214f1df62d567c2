//! What a fog node is told of controllers and functions.

use std::ops::RangeInclusive;

use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use voltmesh_function::MAX_INSTANCES;
use voltmesh_ledger::{public_key_from_hex, verifying_key};

use crate::Error;

/// Controllers at once: one that is active and one that stands by.
const MAX_CONTROLLERS: usize = 2;

/// Keys of controllers, and of publishers: as many as a trust file names of a cloud.
const MAX_KEYS: usize = 16;

/// Longest address in bytes: a host's name of 253, a colon and a port.
const MAX_ADDRESS_BYTES: usize = 259;

/// Controllers that are told of vehicles and send functions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Their MQTT listeners, host:port: one, or two that stand in for each other. No default.
    pub addresses: Vec<String>,
    /// The Ed25519 keys of which any may sign leases: 64 hex digits, or the file `sign.pub` that holds one; at most 16.
    /// Default: none. Controllers that operators have admitted on the ledger are believed as well, and what they removed there is not.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// Bounds of functions on this node.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Functions {
    /// Instances that run at once, 1..=3000. Default 1000.
    pub instances: u32,
    /// Signed releases that are kept on disk, bytes, 1 MiB..=1 TiB; beyond it those that were used longest ago go.
    /// Default 256 MiB.
    pub cache_bytes: u64,
    /// Events, commands and states of functions that are kept on disk, bytes, 16 MiB..=1 TiB: an event has some 400, so
    /// the default holds half a million. Default 256 MiB.
    pub journal_bytes: u64,
    /// Records that wait for summaries and functions, bytes, 1 MiB..=16 GiB; beyond it the oldest are left out, which is
    /// counted. Default 32 MiB: a second of 10,000 vehicles at 3 kB.
    pub feed_bytes: u64,
    /// The Ed25519 keys of which any may sign releases: 64 hex digits, or the file `sign.pub` that holds one; at most 16.
    /// Default: none, and no release is believed.
    pub publishers: Vec<String>,
}

impl Default for Functions {
    fn default() -> Self {
        Self {
            instances: 1_000,
            cache_bytes: 256 << 20,
            journal_bytes: 256 << 20,
            feed_bytes: 32 << 20,
            publishers: Vec::new(),
        }
    }
}

impl Controller {
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(1..=MAX_CONTROLLERS).contains(&self.addresses.len()) {
            return Err(Error::config("controller.addresses wants one host:port, or two"));
        }
        for address in &self.addresses {
            let parts = address.rsplit_once(':');
            let fits = parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !fits || address.len() > MAX_ADDRESS_BYTES {
                return Err(Error::config(format!("controller.addresses: {address:?} is no host:port")));
            }
        }
        if self.addresses.iter().skip(1).any(|address| *address == self.addresses[0]) {
            return Err(Error::config("controller.addresses names one controller twice"));
        }
        parsed("controller.keys", &self.keys).map(drop)
    }

    /// The keys that sign leases.
    pub(crate) fn keys(&self) -> Result<Vec<VerifyingKey>, Error> {
        parsed("controller.keys", &self.keys)
    }
}

impl Functions {
    pub(super) fn check(
        &self,
        within: impl Fn(&str, u64, RangeInclusive<u64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        within("functions.instances", self.instances.into(), 1..=MAX_INSTANCES.into())?;
        within("functions.cache_bytes", self.cache_bytes, 1 << 20..=1 << 40)?;
        within("functions.journal_bytes", self.journal_bytes, 16 << 20..=1 << 40)?;
        within("functions.feed_bytes", self.feed_bytes, 1 << 20..=16 << 30)?;
        parsed("functions.publishers", &self.publishers).map(drop)
    }

    /// The keys that sign releases.
    pub(crate) fn publishers(&self) -> Result<Vec<VerifyingKey>, Error> {
        parsed("functions.publishers", &self.publishers)
    }
}

/// Keys in hex.
fn parsed(what: &str, keys: &[String]) -> Result<Vec<VerifyingKey>, Error> {
    if keys.len() > MAX_KEYS {
        return Err(Error::config(format!("{what}: {} keys, at most {MAX_KEYS}", keys.len())));
    }
    let wrong = |error: &dyn std::fmt::Display| Error::config(format!("{what}: {error}"));
    keys.iter()
        .map(|text| {
            let key = public_key_from_hex(text).map_err(|error| wrong(&error))?;
            verifying_key(&key).map_err(|error| wrong(&error))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    const BASE: &str = "data='d'\ncredentials='c'\ncrl='l'\n[ledger]\ngenesis='g'\n";

    fn check(text: &str, expected: &str) {
        let said = Config::parse(&format!("{BASE}{text}"), Path::new("/"));
        match said {
            Ok(_) => assert!(expected.is_empty(), "taken: {text}"),
            Err(error) => {
                let said = error.to_string();
                assert!(!expected.is_empty() && said.contains(expected), "{text}: {said}");
            }
        }
    }

    #[test]
    fn controllers_are_one_or_two() {
        check("[controller]\naddresses=['c:1']", "");
        check("[controller]\naddresses=['c:1','[::1]:2']", "");
        check("[controller]\naddresses=[]", "wants one host:port, or two");
        check("[controller]\naddresses=['a:1','b:1','c:1']", "wants one host:port, or two");
        check("[controller]\naddresses=['a:1','a:1']", "one controller twice");
        check("[controller]\naddresses=['a']", "is no host:port");
        check("[controller]\naddresses=[':1']", "is no host:port");
        check("[controller]\naddresses=['a:70000']", "is no host:port");
        check("[controller]\naddresses=['a:1']\nkeys=['abcd']", "controller.keys");
        check("[controller]\nkeys=[]", "addresses");
    }

    #[test]
    fn bounds_of_functions_are_checked() {
        check("[functions]\ninstances=0", "functions.instances = 0");
        check("[functions]\ninstances=3001", "functions.instances = 3001");
        check("[functions]\njournal_bytes=1", "functions.journal_bytes = 1");
        check("[functions]\npublishers=['x']", "functions.publishers");
        check("[functions]\ncolour=1", "colour");
    }
}
