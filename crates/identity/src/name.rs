use std::{fmt, str::FromStr};

use crate::Error;

const PREFIX: &str = "urn:voltmesh:";
/// Longest id, in bytes; the same as a vehicle's.
const MAX_ID: usize = 64;

/// Role of a participant, from which its topics and connections follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The agent in a vehicle; its id is the vehicle's.
    Edge,
    /// A roadside unit: receives, anchors, votes.
    Fog,
    /// The SDN controller.
    Controller,
    /// The archive.
    Cloud,
    /// A person who administers, by command line.
    Operator,
    /// A foreign MQTT client that sends plain samples; its id is the vehicle's.
    Client,
}

impl Role {
    /// All roles, in the order of the way of a record.
    pub const ALL: [Role; 6] =
        [Role::Edge, Role::Fog, Role::Controller, Role::Cloud, Role::Operator, Role::Client];

    /// The word in the URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Fog => "fog",
            Role::Controller => "controller",
            Role::Cloud => "cloud",
            Role::Operator => "operator",
            Role::Client => "client",
        }
    }

    /// Whether others connect to it, so that its certificate also names `localhost` and the loopback addresses.
    pub fn is_server(self) -> bool {
        matches!(self, Role::Fog | Role::Controller | Role::Cloud)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| refuse(text, "the role is none of edge, fog, controller, cloud, operator, client"))
    }
}

/// A participant: `urn:voltmesh:<role>:<id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// What it may do.
    pub role: Role,
    id: String,
}

impl Identity {
    /// An identity with a checked id: 1 to 64 of `A-Z a-z 0-9 . _ -`, and not `.` or `..`.
    pub fn new(role: Role, id: &str) -> Result<Identity, Error> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if id.is_empty() || id.len() > MAX_ID {
            return Err(refuse(id, "the id's length is not 1 to 64"));
        }
        if !id.bytes().all(fits) {
            return Err(refuse(id, "the id has another character"));
        }
        // The id becomes part of a folder's name.
        if id.bytes().all(|b| b == b'.') {
            return Err(refuse(id, "the id is only dots"));
        }
        Ok(Identity { role, id: id.to_owned() })
    }

    /// The name within the role, such as a vehicle's or `fog-1`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of its folder below the CA's: `<role>-<id>`.
    pub fn folder(&self) -> String {
        format!("{}-{}", self.role, self.id)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", self.role, self.id)
    }
}

impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rest =
            text.strip_prefix(PREFIX).ok_or_else(|| refuse(text, "it does not start with urn:voltmesh:"))?;
        let (role, id) = rest.split_once(':').ok_or_else(|| refuse(text, "the id is missing"))?;
        Identity::new(role.parse()?, id)
    }
}

fn refuse(text: &str, problem: &'static str) -> Error {
    Error::Identity { text: text.chars().take(120).collect(), problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refused() {
        for text in [
            "",
            "urn:voltmesh:",
            "urn:voltmesh:fog",
            "urn:voltmesh:fog:",
            "urn:voltmesh:Fog:a",
            "urn:voltmesh:fog:a/b",
            "urn:voltmesh:fog:a:b",
            "urn:voltmesh:fog:..",
            "urn:other:fog:a",
            " urn:voltmesh:fog:a",
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text:?}");
        }
        assert!(Identity::new(Role::Edge, &"x".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn uri_round_trip(role in 0..6usize, id in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}") {
            let identity = Identity::new(Role::ALL[role], &id).unwrap();
            prop_assert_eq!(identity.to_string().parse::<Identity>().unwrap(), identity);
        }

        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = text.parse::<Identity>();
        }
    }
}
