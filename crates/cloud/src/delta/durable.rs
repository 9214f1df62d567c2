//! A local folder whose objects survive a power cut once `put` has returned.
//!
//! `object_store`'s local folder renames a finished file into place but never calls fsync, so after a power
//! cut a log entry that was acknowledged can be missing or empty. Here a file is written beside its place,
//! fsynced, linked into place (which also makes "create if absent" atomic), and its directory fsynced; new
//! directories are fsynced into their parents.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    local::LocalFileSystem, path::Path,
};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

/// The file system from its root, with writes that are on the disk when they return.
#[derive(Debug, Clone)]
pub struct DurableFolder {
    inner: Arc<LocalFileSystem>,
}

impl Default for DurableFolder {
    fn default() -> Self {
        Self::new()
    }
}

impl DurableFolder {
    /// The whole file system; paths are absolute without their leading `/`.
    pub fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableFolder")
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || put(&path, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        if let Some(parent) = path.parent().map(FilePath::to_path_buf) {
            blocking(move || create_folder(&parent).map_err(|source| generic(&source))).await?;
        }
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, path: self.inner.path_to_filesystem(location)? }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = list_later(self.inner.clone(), prefix.cloned(), offset.clone());
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.settle(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.settle(to).await
    }
}

impl DurableFolder {
    async fn settle(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || settle(&path).map_err(|source| generic(&source))).await
    }
}

/// An upload in parts whose file is fsynced when it completes.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.upload.complete().await?;
        let path = self.path.clone();
        blocking(move || settle(&path).map_err(|source| generic(&source))).await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::JoinError { source })?
}

fn generic(source: &io::Error) -> Error {
    Error::Generic {
        store: "DurableFolder",
        source: Box::new(io::Error::new(source.kind(), source.to_string())),
    }
}

async fn list_later(
    inner: Arc<LocalFileSystem>,
    prefix: Option<Path>,
    offset: Path,
) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
    if let Some(prefix) = prefix.clone() {
        let (folder, from) = (inner.path_to_filesystem(&prefix)?, offset.clone());
        if let Some(found) = blocking(move || later(&folder, &prefix, &from)).await? {
            return Ok(futures::stream::iter(found.into_iter().map(Ok)).boxed());
        }
    }
    Ok(inner.list_with_offset(prefix.as_ref(), &offset))
}

/// Files of a folder without folders whose names come after that of `offset`: as the log is listed before each commit. The
/// others cost no look at the file and no conversion of their path. `None` where this is not enough: for folders with
/// folders, and for names that a path writes otherwise.
fn later(folder: &FilePath, prefix: &Path, offset: &Path) -> Result<Option<Vec<ObjectMeta>>> {
    let Some((parent, from)) =
        offset.as_ref().rsplit_once('/').filter(|(parent, _)| *parent == prefix.as_ref())
    else {
        return Ok(None);
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Vec::new())),
        Err(error) => return Err(generic(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| generic(&error))?;
        let name = entry.file_name();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte);
        let Some(name) = name.to_str().filter(|name| name.bytes().all(plain)) else { return Ok(None) };
        if !entry.file_type().map_err(|error| generic(&error))?.is_file() {
            return Ok(None);
        }
        // Names with `#` are of files that are being written.
        if name <= from || name.contains('#') {
            continue;
        }
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(generic(&error)),
        };
        let location = Path::from(format!("{parent}/{name}"));
        let last_modified = meta.modified().map_err(|error| generic(&error))?.into();
        found.push(ObjectMeta { location, last_modified, size: meta.len(), e_tag: None, version: None });
    }
    Ok(Some(found))
}

fn put(path: &FilePath, payload: &PutPayload, create: bool) -> Result<()> {
    let parent = path.parent().unwrap_or(FilePath::new("/"));
    create_folder(parent).map_err(|source| generic(&source))?;
    let (mut file, staged) = stage(path).map_err(|source| generic(&source))?;
    let written = payload
        .iter()
        .try_for_each(|chunk| file.write_all(chunk))
        .and_then(|()| file.sync_all())
        .and_then(|()| {
            if !create {
                return fs::rename(&staged, path);
            }
            fs::hard_link(&staged, path)?;
            fs::remove_file(&staged)
        })
        .and_then(|()| File::open(parent)?.sync_all());
    written.map_err(|source| {
        // The staged file may be gone already; a left-over one is never listed.
        fs::remove_file(&staged).ok();
        match source.kind() {
            ErrorKind::AlreadyExists => {
                Error::AlreadyExists { path: path.display().to_string(), source: Box::new(source) }
            }
            _ => generic(&source),
        }
    })
}

/// A new file beside `path`, named `path#N`: `object_store` never lists such names.
fn stage(path: &FilePath) -> io::Result<(File, PathBuf)> {
    let mut attempt = 1u64;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{attempt}"));
        let staged = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Creates `folder` and what is missing above it, each fsynced into its parent.
pub(crate) fn create_folder(folder: &FilePath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    // A name alone is in the working directory, which no path of no characters opens.
    let parent = if parent.as_os_str().is_empty() { FilePath::new(".") } else { parent };
    create_folder(parent)?;
    // What is archived says where vehicles were and how they are: for its owner only.
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Fsyncs a file and its directory.
fn settle(path: &FilePath) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
