//! What is inspected: a file, or all pages of a feed at an address.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use voltmesh_fog::stations::web::{Address, Options, Page, WebFeed};
use voltmesh_stations::{Builder, PlaceList};

use super::super::super::block_on;
use super::super::input;
use crate::args;

/// A file or a feed.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A feed: where it is, its pages, and the same in one text: documents one a line, tables behind each other.
    Web { address: String, pages: Vec<Vec<u8>>, joined: Vec<u8> },
}

impl Source {
    /// Asks for all pages, where an address is given; a path is taken as it is.
    pub fn open(given: &Path, options: &args::StationsInspect) -> Result<Self> {
        let Some(address) = given.to_str().filter(|text| Address::is_one(text)) else {
            return Ok(Self::File(given.to_owned()));
        };
        let address = Address::parse(address)?;
        let asked = Options {
            token_file: options.token_file.clone(),
            header: options.header.clone(),
            scheme: options.scheme.clone(),
            roots: options.roots.clone(),
            ..Options::default()
        };
        let mut feed = WebFeed::new(address.clone(), asked)?;
        let pages = block_on(async {
            let (mut poll, mut pages) = (feed.poll(), Vec::new());
            while let Some((_, page)) = poll.page().await? {
                // Nothing was asked before: no page can be the same.
                if let Page::News(bytes) = page {
                    pages.push(bytes);
                }
            }
            Ok(pages)
        })?;
        let joined = joined(&pages);
        Ok(Self::Web { address: address.to_string(), pages, joined })
    }

    /// Adds its rows.
    pub fn add(&self, builder: &mut Builder) -> Result<()> {
        match self {
            Self::File(path) => input::add(builder, path),
            Self::Web { joined, .. } => {
                builder.read(&joined[..]).with_context(|| format!("cannot read {self}"))
            }
        }
    }

    /// Its list of places.
    pub fn list(&self) -> Result<PlaceList> {
        match self {
            Self::File(path) => input::list(path),
            Self::Web { joined, .. } => {
                PlaceList::read(&joined[..]).with_context(|| format!("cannot read {self}"))
            }
        }
    }

    /// What a live feed takes of it.
    pub fn live(&self) -> Result<Option<input::Live>> {
        match self {
            Self::File(path) => input::live(path),
            Self::Web { pages, .. } => Ok(input::live_of(pages.iter().map(|page| &page[..]))),
        }
    }
}

/// The pages in one text.
fn joined(pages: &[Vec<u8>]) -> Vec<u8> {
    let line = |page: &Vec<u8>| -> Vec<u8> {
        match serde_json::from_slice::<serde_json::Value>(page) {
            Ok(document) => document.to_string().into_bytes(),
            Err(_) => page.clone(),
        }
    };
    pages.iter().map(line).collect::<Vec<_>>().join(&b'\n')
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Web { address, pages, .. } => match pages.len() {
                1 => f.write_str(address),
                pages => write!(f, "{address} ({pages} pages)"),
            },
        }
    }
}
