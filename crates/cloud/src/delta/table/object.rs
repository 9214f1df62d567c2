//! A Parquet file in an object store.

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use std::{ops::Range, sync::Arc};

/// Files up to this size are fetched whole: one request instead of three and more.
const WHOLE: u64 = 1 << 20;

/// Reads parts of one object, of which the size is known.
#[derive(Clone)]
pub(super) struct ObjectReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    whole: Option<Bytes>,
}

impl ObjectReader {
    pub fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self { store, path, size, whole: None }
    }

    async fn whole(&mut self) -> Result<Option<Bytes>> {
        if self.whole.is_none() && self.size <= WHOLE {
            let object = self.store.get(&self.path).await.map_err(external)?;
            self.whole = Some(object.bytes().await.map_err(external)?);
        }
        Ok(self.whole.clone())
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn part(whole: &Bytes, range: &Range<u64>) -> Result<Bytes> {
    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
    if range.start > range.end || range.end > whole.len() {
        return Err(ParquetError::EOF(format!("want bytes {range:?} of a file of {}", whole.len())));
    }
    Ok(whole.slice(range))
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            match self.whole().await? {
                Some(whole) => part(&whole, &range),
                None => self.store.get_range(&self.path, range).await.map_err(external),
            }
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            match self.whole().await? {
                Some(whole) => ranges.iter().map(|range| part(&whole, range)).collect(),
                None => self.store.get_ranges(&self.path, &ranges).await.map_err(external),
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
