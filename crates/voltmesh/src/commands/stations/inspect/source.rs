//! What is inspected: a file, or all pages of a feed at an address.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use voltmesh_fog::stations::web::{Address, Options, Page, WebFeed};
use voltmesh_stations::{Builder, Mapping, PlaceList, feeds};

use super::super::super::block_on;
use super::super::input;
use crate::args;

/// A file or a feed.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A feed: where it is, its pages, the same in one text (documents one a line, tables behind each other), and those of several
    /// pages that are nothing that is read, which are in neither.
    Web { address: String, pages: Vec<Vec<u8>>, joined: Vec<u8>, strange: Vec<String> },
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
        let mut pages = block_on(async {
            let (mut poll, mut pages) = (feed.poll(), Vec::new());
            while let Some((_, page)) = poll.page().await? {
                // Nothing was asked before: no page can be the same.
                if let Page::News(bytes) = page {
                    pages.push(bytes);
                }
            }
            Ok(pages)
        })?;
        let mut strange = Vec::new();
        if pages.len() > 1 {
            let said = pages.iter().map(|page| nothing_in(page)).collect::<Vec<_>>();
            // If none is, what is wrong with all of them is said.
            if said.iter().any(Option::is_none) {
                let numbered = (1..).zip(&said).filter_map(|(n, said)| Some((n, said.as_ref()?)));
                strange =
                    numbered.map(|(n, why)| format!("page {n} is nothing that is read: {why}")).collect();
                let mut said = said.iter();
                pages.retain(|_| said.next().is_some_and(Option::is_none));
            }
        }
        let joined = joined(&pages);
        Ok(Self::Web { address: address.to_string(), pages, joined, strange })
    }

    /// Pages that are nothing that is read, and why.
    pub fn strange(&self) -> &[String] {
        match self {
            Self::File(_) => &[],
            Self::Web { strange, .. } => strange,
        }
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

/// Why nothing of a page is read; `None` if something is, or nothing is there.
fn nothing_in(page: &[u8]) -> Option<String> {
    if page.trim_ascii().is_empty() || feeds::read(page).is_ok() {
        return None;
    }
    if PlaceList::read(page).is_ok_and(|list| list.report.evses > 0) {
        return None;
    }
    let mut builder = Builder::default();
    if let Err(error) = builder.read(page) {
        return Some(error.to_string());
    }
    let (report, _) = builder.inspect(&Mapping::new());
    (report.usable() == 0).then(|| report.lines().join("; "))
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
            Self::Web { address, pages, strange, .. } => match pages.len() + strange.len() {
                1 => f.write_str(address),
                pages => write!(f, "{address} ({pages} pages)"),
            },
        }
    }
}
