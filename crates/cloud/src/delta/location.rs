//! Where the archive is: a folder, or a bucket.

use super::{ArchiveError, durable};
use object_store::ObjectStore;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use url::Url;

/// Location of the archive: a folder, or a bucket.
#[derive(Clone, Debug)]
pub struct Location {
    /// The store from its root.
    pub store: Arc<dyn ObjectStore>,
    /// The folder below which the tables are.
    pub url: Url,
}

impl Location {
    /// A local folder, created if it is not there; what is written to it is fsynced.
    pub fn folder(path: &Path) -> Result<Self, ArchiveError> {
        durable::create_folder(path).map_err(ArchiveError::store)?;
        let path = path.canonicalize().map_err(ArchiveError::store)?;
        Self::existing_folder(&path)
    }

    /// A local folder that must be there.
    pub fn existing_folder(path: &Path) -> Result<Self, ArchiveError> {
        let path = path.canonicalize().map_err(ArchiveError::store)?;
        let url = Url::from_directory_path(&path)
            .map_err(|()| ArchiveError::Location { what: path.display().to_string() })?;
        Ok(Self { store: Arc::new(durable::DurableFolder::new()), url })
    }

    /// As [`Self::parse`], for reading: a folder must be there.
    pub fn existing(text: &str, options: &BTreeMap<String, String>) -> Result<Self, ArchiveError> {
        if text.contains("://") { Self::parse(text, options) } else { Self::existing_folder(Path::new(text)) }
    }

    /// From a folder's path or, with the feature `s3`, an `s3://bucket/prefix` URL and the store's options
    /// (`aws_region`, `aws_endpoint`, `aws_access_key_id` …; what is missing comes from the environment).
    pub fn parse(text: &str, options: &BTreeMap<String, String>) -> Result<Self, ArchiveError> {
        if text.starts_with("s3://") {
            return s3(text, options);
        }
        if text.contains("://") {
            return Err(ArchiveError::Location { what: text.to_owned() });
        }
        Self::folder(Path::new(text))
    }
}

#[cfg(feature = "s3")]
fn s3(text: &str, options: &BTreeMap<String, String>) -> Result<Location, ArchiveError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    let url = Url::parse(text).map_err(ArchiveError::store)?;
    let mut builder = AmazonS3Builder::from_env().with_url(text);
    for (key, value) in options {
        let key: AmazonS3ConfigKey = key.parse().map_err(ArchiveError::store)?;
        builder = builder.with_config(key, value);
    }
    // Conditional puts ("create if absent") are what makes a commit atomic; object_store uses them by default.
    let store = builder.build().map_err(ArchiveError::store)?;
    Ok(Location { store: Arc::new(store), url })
}

#[cfg(not(feature = "s3"))]
fn s3(text: &str, _: &BTreeMap<String, String>) -> Result<Location, ArchiveError> {
    Err(ArchiveError::NoS3 { what: text.to_owned() })
}
