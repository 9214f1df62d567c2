//! What a role says of its log's head where others keep it: the bytes that its receipt from the ledger is for.

use crate::Head;

/// What the bytes begin with: their form and its version.
const FORM: &str = "audit-head/1";

/// Longest name of a role's node, in bytes: an identity has up to 64.
const MAX_NODE: usize = 128;

/// A log's head, and whose log it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadStatement {
    /// Name of the node, such as `fog-1`: without spaces and control characters.
    pub node: String,
    /// The last entry.
    pub head: Head,
}

impl HeadStatement {
    /// The bytes: `audit-head/1 fog-1 41:9f2c…`.
    pub fn to_bytes(&self) -> Vec<u8> {
        format!("{FORM} {} {}", self.node, self.head).into_bytes()
    }

    /// Reads [`Self::to_bytes`]; `None` of anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (node, head) = text.strip_prefix(FORM)?.strip_prefix(' ')?.split_once(' ')?;
        let named = (1..=MAX_NODE).contains(&node.len()) && node.chars().all(|one| one.is_ascii_graphic());
        let statement = Self { node: node.to_owned(), head: head.parse().ok()? };
        // One form for each statement.
        (named && statement.to_bytes() == bytes).then_some(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn the_bytes_are_pinned_and_others_are_refused() {
        let head = Head { seq: 41, hash: Hash::default() };
        let statement = HeadStatement { node: "fog-1".into(), head };
        let bytes = statement.to_bytes();
        assert_eq!(bytes, format!("audit-head/1 fog-1 41:{}", "0".repeat(64)).into_bytes());
        assert_eq!(HeadStatement::from_bytes(&bytes), Some(statement));
        let text = String::from_utf8(bytes).expect("text");
        for wrong in [
            text.replace("/1", "/2"),
            text.replace("fog-1 ", "fog-1  "),
            text.replace("fog-1", "fog\u{7}1"),
            text.replace(" fog-1", ""),
            text.replace("41", "041"),
            text.replace("41", "x"),
            text.clone() + "0",
            String::new(),
        ] {
            assert_eq!(HeadStatement::from_bytes(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
