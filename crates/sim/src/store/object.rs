//! The store as the product's code sees it: each call is a request that the simulation answers.
//!
//! It holds nothing: a request goes to the lane on whose thread it is made.

use super::{
    lane::{self, request},
    request::{Request, Response},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use std::{collections::BTreeSet, fmt, ops::Range};

/// A bucket in the simulation.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedStore;

impl fmt::Display for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedStore")
    }
}

fn done() -> PutResult {
    PutResult { e_tag: None, version: None }
}

#[async_trait]
impl ObjectStore for SimulatedStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => return Err(lane::unsupported("a put that compares versions")),
        };
        request(Request::Put { path: path.clone(), payload, create }).await?;
        Ok(done())
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload { path: path.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match request(Request::Get { path: path.clone(), options }).await? {
            Response::Object(object) => Ok(object),
            other => Err(lane::mismatch(&other)),
        }
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match request(Request::Parts { path: path.clone(), ranges: ranges.to_vec() }).await? {
            Response::Parts(parts) => Ok(parts),
            other => Err(lane::mismatch(&other)),
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let delete = |path: Path| async move {
            request(Request::Delete { path: path.clone() }).await?;
            Ok(path)
        };
        paths.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listed(prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        listed(prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = Path::default();
        let base = prefix.unwrap_or(&root);
        let all: Vec<ObjectMeta> = listed(prefix.cloned(), None).try_collect().await?;
        let mut objects = Vec::new();
        let mut folders = BTreeSet::new();
        for meta in all {
            let Some(mut parts) = meta.location.prefix_match(base) else { continue };
            let Some(first) = parts.next() else { continue };
            if parts.next().is_some() {
                folders.insert(base.clone().join(first));
            } else {
                drop(parts);
                objects.push(meta);
            }
        }
        Ok(ListResult { common_prefixes: folders.into_iter().collect(), objects })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        request(Request::Copy { from: from.clone(), to: to.clone(), options }).await.map(drop)
    }
}

fn listed(prefix: Option<Path>, offset: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
    let listing = async move {
        match request(Request::List { prefix, offset }).await? {
            Response::Listed(found) => Ok(stream::iter(found.into_iter().map(Ok))),
            other => Err(lane::mismatch(&other)),
        }
    };
    listing.into_stream().try_flatten().boxed()
}

/// An upload in parts, which takes effect when it completes.
#[derive(Debug)]
struct Upload {
    path: Path,
    parts: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data.into());
        async { Ok(()) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload: PutPayload = std::mem::take(&mut self.parts).into_iter().collect();
        request(Request::Put { path: self.path.clone(), payload, create: false }).await?;
        Ok(done())
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok::<(), Error>(())
    }
}
