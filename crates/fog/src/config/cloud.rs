//! The cloud that archives, and the keys of its notices.

use serde::Deserialize;
use voltmesh_ledger::MAX_CLOUD_KEYS;

/// The cloud that archives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// Its MQTT listener, host:port. No default.
    pub address: String,
    /// The Ed25519 key that signs archive notices: 64 hex digits, or the file `sign.pub` that holds it; or a list of 1 to 16,
    /// while one replaces another. No default.
    pub notice_key: NoticeKeys,
    /// Batches under way to the cloud at once, 1..=65535. Default 256.
    #[serde(default = "default_window")]
    pub window: usize,
    /// Bytes under way to the cloud at once. Default 16 MiB.
    #[serde(default = "default_window_bytes")]
    pub window_bytes: u64,
    /// Time after the cloud's PUBACK within which its archive notice is expected; then the batch is sent again,
    /// milliseconds. Default 60000.
    #[serde(default = "default_notice_ms")]
    pub notice_ms: u64,
}

/// Keys in hex of which any may sign archive notices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "OneOrMore")]
pub struct NoticeKeys(pub Vec<String>);

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<OneOrMore> for NoticeKeys {
    type Error = &'static str;

    fn try_from(keys: OneOrMore) -> Result<Self, Self::Error> {
        let keys = match keys {
            OneOrMore::One(key) => vec![key],
            OneOrMore::More(keys) => keys,
        };
        // As many as a trust file may name.
        let fits = (1..=MAX_CLOUD_KEYS).contains(&keys.len());
        fits.then_some(Self(keys)).ok_or("wants a key, or a list of 1 to 16")
    }
}
fn default_window() -> usize {
    256
}
fn default_window_bytes() -> u64 {
    16 * 1024 * 1024
}
fn default_notice_ms() -> u64 {
    60_000
}
