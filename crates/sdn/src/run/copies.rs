//! Messages by which a controller that stands by copies the one that commands: all that is to be copied in pieces, then what changes.

use serde::{Deserialize, Serialize};
use voltmesh_control::MAX_CONTROLLER_MESSAGE_BYTES;
use voltmesh_function::MAX_PACKAGE_BYTES;

use crate::controller::Change;

/// Largest message of a copy: what was learned of a large fleet is one change, and a release is as large.
pub const MAX_COPY_BYTES: usize = MAX_PACKAGE_BYTES;
/// Changes of a whole copy at most, beyond which it is given up: releases, deployments, and a function taken from each of 100,000
/// vehicles.
const MAX_CHANGES: usize = 131_072;

/// Place of a message in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// Of a whole copy, the first; others follow.
    First,
    /// Of a whole copy, one more.
    More,
    /// Of a whole copy, the last.
    Last,
    /// What has changed since the whole copy.
    Since,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    part: Part,
    changes: Vec<Change>,
}

/// Messages of a copy.
#[derive(Debug, Default)]
pub struct Messages {
    /// Each of at most [`MAX_COPY_BYTES`].
    pub payloads: Vec<Vec<u8>>,
    /// Changes that are larger than a message may be, and left out.
    pub too_large: usize,
}

impl Messages {
    /// Everything that is to be copied.
    pub fn whole(changes: Vec<Change>) -> Self {
        let (mut groups, too_large) = grouped(changes);
        // An empty one ends it, so that each group is the first or another.
        groups.push(Vec::new());
        let last = groups.len() - 1;
        let part = |at: usize| match at {
            _ if at == last => Part::Last,
            0 => Part::First,
            _ => Part::More,
        };
        let groups = groups.into_iter().enumerate().map(|(at, changes)| Message { part: part(at), changes });
        Self { payloads: groups.filter_map(|message| encode(&message)).collect(), too_large }
    }

    /// What has changed.
    pub fn since(changes: Vec<Change>) -> Self {
        let (groups, too_large) = grouped(changes);
        let groups = groups.into_iter().map(|changes| Message { part: Part::Since, changes });
        Self { payloads: groups.filter_map(|message| encode(&message)).collect(), too_large }
    }
}

fn encode<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    // What is kept on disk in the same form can be written.
    serde_json::to_vec(value).ok()
}

/// Changes in groups of which each fits a message, and how many fit none.
fn grouped(changes: Vec<Change>) -> (Vec<Vec<Change>>, usize) {
    let (mut groups, mut bytes, mut too_large) = (vec![Vec::new()], 0, 0);
    for change in changes {
        let size = encode(&change).map_or(usize::MAX, |bytes| bytes.len() + 1);
        if size > MAX_COPY_BYTES - 64 {
            too_large += 1;
            continue;
        }
        if bytes + size > MAX_CONTROLLER_MESSAGE_BYTES - 64 && bytes > 0 {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = groups.last_mut() {
            group.push(change);
        }
    }
    (groups, too_large)
}

/// A copy that comes in pieces.
#[derive(Debug, Default)]
pub struct Incoming(Option<Vec<Change>>);

/// A copy that has come, as far as it is complete.
#[derive(Debug, PartialEq)]
pub struct Complete {
    /// Whether it is all that is to be copied.
    pub whole: bool,
    /// The changes.
    pub changes: Vec<Change>,
}

impl Incoming {
    /// Takes a message; the copy if it is complete with it. What has changed since is of no use before a whole copy.
    ///
    /// # Errors
    /// Why the message is none.
    pub fn take(&mut self, payload: &[u8]) -> Result<Option<Complete>, String> {
        let Message { part, changes } =
            serde_json::from_slice(payload).map_err(|error| format!("this is no copy: {error}"))?;
        if let Some(other) = changes.iter().find(|change| !change.is_copied()) {
            let kind =
                serde_json::to_value(other).ok().and_then(|json| json["change"].as_str().map(String::from));
            return Err(format!("a change of the kind {kind:?} is not copied"));
        }
        match part {
            Part::Since => return Ok(Some(Complete { whole: false, changes })),
            Part::First => self.0 = Some(changes),
            Part::More | Part::Last => {
                let Some(before) = &mut self.0 else { return Err("a copy without its beginning".to_owned()) };
                if before.len() + changes.len() > MAX_CHANGES {
                    self.0 = None;
                    return Err(format!("a copy of more than {MAX_CHANGES} changes"));
                }
                before.extend(changes);
            }
        }
        let whole = if part == Part::Last { self.0.take() } else { None };
        Ok(whole.map(|changes| Complete { whole: true, changes }))
    }

    /// The session is over: what had come of a copy is of no use.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn withheld(n: usize, name: usize) -> Change {
        Change::Withheld {
            vehicle: format!("car-{n}").parse().expect("a name"),
            function: "f".repeat(name),
            decision: n as u64,
        }
    }

    proptest! {
        // Megabytes each.
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Whatever is copied arrives as it was, in messages that are small enough, after whatever had come of another copy.
        #[test]
        fn a_copy_comes_as_it_was_sent(
            sizes in prop::collection::vec(prop_oneof![1_usize..40, 200_000_usize..700_000], 0..12),
            cut in 0_usize..4,
        ) {
            let changes: Vec<Change> = sizes.iter().enumerate().map(|(n, size)| withheld(n, *size)).collect();
            let mut incoming = Incoming::default();
            for payload in Messages::whole(changes.clone()).payloads.into_iter().take(cut) {
                if incoming.take(&payload).expect("a message").is_some() {
                    break;
                }
            }
            let sent = Messages::whole(changes.clone());
            prop_assert_eq!(sent.too_large, 0);
            let mut complete = Vec::new();
            for payload in &sent.payloads {
                prop_assert!(payload.len() <= MAX_COPY_BYTES);
                complete.extend(incoming.take(payload).expect("a message"));
            }
            prop_assert_eq!(complete, vec![Complete { whole: true, changes: changes.clone() }]);
            let mut since = Vec::new();
            for payload in Messages::since(changes.clone()).payloads {
                since.extend(incoming.take(&payload).expect("a message").expect("complete").changes);
            }
            prop_assert_eq!(since, changes);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Incoming::default().take(&bytes).ok();
        }
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        let refused = |payload: &str| Incoming::default().take(payload.as_bytes()).expect_err(payload);
        assert!(refused("{").contains("no copy"));
        assert!(refused(r#"{"part":"since","changes":[],"more":1}"#).contains("no copy"));
        assert!(refused(r#"{"part":"last","changes":[]}"#).contains("without its beginning"));
        assert!(refused(r#"{"part":"since","changes":[{"change":"term","term":9}]}"#).contains("\"term\""));
    }

    #[test]
    fn what_fits_no_message_is_left_out_and_counted() {
        let sent = Messages::whole(vec![withheld(1, 3), withheld(2, MAX_COPY_BYTES)]);
        assert_eq!((sent.too_large, sent.payloads.len()), (1, 2));
    }
}
