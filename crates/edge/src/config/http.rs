//! Configuration of the interface for people and monitoring.

use crate::Error;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use voltmesh_http::Names;

/// The interface for people and monitoring: an address, or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens. Default 127.0.0.1:9200.
    pub listen: SocketAddr,
    /// Further names of it, `host` or `host:port`. Default none but loopback names.
    pub hosts: Vec<String>,
    /// Pages that may ask, such as `https://fleet.example`. Default none but its own.
    pub origins: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 9200).into(), hosts: Vec::new(), origins: Vec::new() }
    }
}

impl Http {
    /// What it is called, and by whom it may be asked.
    pub(crate) fn names(&self) -> Result<Names, Error> {
        Names::parse(&self.hosts, &self.origins)
            .map_err(|error| Error::config(error.key(), error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Http {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrTable;

        impl<'de> Visitor<'de> for AddressOrTable {
            type Value = Http;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an address, such as \"127.0.0.1:9200\", or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Http, E> {
                let listen = text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(Http { listen, ..Http::default() })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Http, M::Error> {
                #[derive(Deserialize)]
                #[serde(default, deny_unknown_fields)]
                struct Table {
                    listen: SocketAddr,
                    hosts: Vec<String>,
                    origins: Vec<String>,
                }

                impl Default for Table {
                    fn default() -> Self {
                        let Http { listen, hosts, origins } = Http::default();
                        Self { listen, hosts, origins }
                    }
                }

                let Table { listen, hosts, origins } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Http { listen, hosts, origins })
            }
        }

        deserializer.deserialize_any(AddressOrTable)
    }
}
