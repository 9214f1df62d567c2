//! Sorted files to one sorted file, a few rows of each at a time.
//!
//! **Memory.** Of each file its bytes of one row group as they are stored and one piece of decoded rows are held, all pieces
//! together some [`BUFFER`] stored bytes and [`BUFFER_ROWS`] rows. Of 96 cells a row takes 30 bytes stored and 600 decoded; rows of a
//! vehicle whose values stand still take 4 bytes stored, and as many decoded.
//! A file whose rows are not in order (another program's) is read whole and sorted, since nothing less tells its first row.

use super::{
    file_writer::{FileWriter, in_order},
    files::{DataFile, joined},
    object::ObjectReader,
    view::View,
};
use crate::delta::{
    ArchiveError,
    rows::{Columns, of_today},
};
use arrow::{
    array::{Array, Int64Array, MutableArrayData, RecordBatch, StringArray, make_array},
    compute::{SortColumn, lexsort_to_indices, take_record_batch},
    datatypes::SchemaRef,
};
use futures::TryStreamExt as _;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream};
use std::{cmp::Ordering, sync::Arc};

/// Stored bytes of the rows that are decoded at once, of all files together: 8,700 records of 96 cells, 5 MB decoded, and
/// as much again of rows that wait to be written.
const BUFFER: u64 = 512 << 10;
/// Rows that are decoded at once, of all files together.
const BUFFER_ROWS: u64 = 8_192;
/// As many rows of a file are decoded at once, at least, if one row alone is not larger than the buffer.
const LEAST_ROWS: u64 = 1;

/// Appends all rows of `files`, sorted by `keys`, to files of one day that `start` begins.
pub(super) async fn merge(
    view: &View,
    files: &[Arc<DataFile>],
    keys: &[&str],
    day: i32,
    start: impl Fn() -> FileWriter,
) -> Result<FileWriter, ArchiveError> {
    for sort in [false, true] {
        let writer = start();
        let layout = Layout { schema: writer.schema().clone(), keys };
        let mut merge = Merge { writer, day, pieces: Vec::new(), runs: Vec::new(), rows: 0 };
        if merge.all(view, files, &layout, sort).await? {
            return Ok(merge.writer);
        }
        tracing::warn!("a file's rows are not in order: the files to merge are sorted in memory");
    }
    unreachable!("sorted rows are in order")
}

/// A merge under way.
struct Merge {
    writer: FileWriter,
    day: i32,
    /// Decoded rows that are not all written.
    pieces: Vec<Piece>,
    /// What is written next: of each piece, from which row, to which one.
    runs: Vec<(usize, usize, usize)>,
    /// Rows of these runs.
    rows: usize,
}

/// A file that is read.
struct Source {
    /// `None` once its last rows are decoded.
    stream: Option<ParquetRecordBatchStream<ObjectReader>>,
    /// Its piece of decoded rows, and the row of it that comes next.
    piece: usize,
    at: usize,
}

impl Source {
    /// The rows that come next in a file.
    async fn next(&mut self, layout: &Layout<'_>) -> Result<Option<Piece>, ArchiveError> {
        while let Some(stream) = &mut self.stream {
            match stream.try_next().await.map_err(ArchiveError::store)? {
                Some(rows) if rows.num_rows() == 0 => {}
                Some(rows) => return Piece::new(rows, layout).map(Some),
                None => self.stream = None,
            }
        }
        Ok(None)
    }

    /// All rows of a file, sorted.
    async fn sorted(&mut self, layout: &Layout<'_>) -> Result<Option<Piece>, ArchiveError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next(layout).await? {
            all.push(piece.rows);
        }
        if all.is_empty() {
            return Ok(None);
        }
        let all = joined(&all)?;
        let columns = layout.keys.iter().filter_map(|key| all.column_by_name(key));
        let columns: Vec<_> =
            columns.map(|values| SortColumn { values: values.clone(), options: None }).collect();
        let order = lexsort_to_indices(&columns, None).map_err(ArchiveError::store)?;
        let sorted = take_record_batch(&all, &order).map_err(ArchiveError::store)?;
        Piece::new(sorted, layout).map(Some)
    }
}

/// The columns that are written, and those by which rows are in order.
struct Layout<'a> {
    schema: SchemaRef,
    keys: &'a [&'a str],
}

/// Some rows of a file.
struct Piece {
    rows: RecordBatch,
    keys: Vec<KeyColumn>,
}

enum KeyColumn {
    Long(Int64Array),
    Text(StringArray),
}

impl Merge {
    /// Writes all rows; false if some file's are not in order, where `sort` does not make them so.
    async fn all(
        &mut self,
        view: &View,
        files: &[Arc<DataFile>],
        layout: &Layout<'_>,
        sort: bool,
    ) -> Result<bool, ArchiveError> {
        let mut sources = Vec::with_capacity(files.len());
        let at_once = most_rows(files);
        for file in files {
            let reader = ObjectReader::new(view.store.clone(), file.path.clone(), file.size);
            let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(ArchiveError::store)?;
            let stream = builder.with_batch_size(at_once).build().map_err(ArchiveError::store)?;
            let mut source = Source { stream: Some(stream), piece: 0, at: 0 };
            let first = if sort { source.sorted(layout).await? } else { source.next(layout).await? };
            let Some(first) = first else { continue };
            if !first.is_in_order() {
                return Ok(false);
            }
            source.piece = self.pieces.len();
            self.pieces.push(first);
            sources.push(source);
        }
        // The last one has the least row.
        sources.sort_by(|a, b| self.order(b, a));
        while let Some(mut source) = sources.pop() {
            let piece = &self.pieces[source.piece];
            let end = match sources.last() {
                Some(next) => piece.until(source.at, &self.pieces[next.piece], next.at),
                None => piece.rows.num_rows(),
            };
            self.rows += end - source.at;
            self.runs.push((source.piece, source.at, end));
            source.at = end;
            if end == self.pieces[source.piece].rows.num_rows() {
                let Some(next) = source.next(layout).await? else { continue };
                if !next.is_in_order() || self.pieces[source.piece].ends_after(&next) {
                    return Ok(false);
                }
                (source.piece, source.at) = (self.pieces.len(), 0);
                self.pieces.push(next);
            }
            let place = sources.partition_point(|other| self.order(other, &source) == Ordering::Greater);
            sources.insert(place, source);
            if self.rows >= at_once * files.len() / 2 {
                self.write()?;
                self.keep_only(&mut sources);
            }
        }
        self.write()?;
        Ok(true)
    }

    fn order(&self, a: &Source, b: &Source) -> Ordering {
        self.pieces[a.piece].compare(a.at, &self.pieces[b.piece], b.at)
    }

    /// Writes the runs that are chosen.
    fn write(&mut self) -> Result<(), ArchiveError> {
        if self.rows == 0 {
            return Ok(());
        }
        let schema = self.writer.schema().clone();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for column in 0..schema.fields().len() {
            let data: Vec<_> = self.pieces.iter().map(|piece| piece.rows.column(column).to_data()).collect();
            let mut chosen = MutableArrayData::new(data.iter().collect(), false, self.rows);
            for (piece, from, to) in &self.runs {
                chosen.try_extend(*piece, *from, *to).map_err(ArchiveError::store)?;
            }
            columns.push(make_array(chosen.freeze()));
        }
        let rows = RecordBatch::try_new(schema, columns).map_err(ArchiveError::store)?;
        self.writer.write_day(self.day, &rows)?;
        self.runs.clear();
        self.rows = 0;
        Ok(())
    }

    /// Lets go of pieces that are written.
    fn keep_only(&mut self, sources: &mut [Source]) {
        let mut pieces: Vec<_> = std::mem::take(&mut self.pieces).into_iter().map(Some).collect();
        for source in sources {
            if let Some(piece) = pieces[source.piece].take() {
                source.piece = self.pieces.len();
                self.pieces.push(piece);
            }
        }
    }
}

/// Rows of each file to decode at once, so that those of all take [`BUFFER`] as they are stored, and are [`BUFFER_ROWS`].
fn most_rows(files: &[Arc<DataFile>]) -> usize {
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let rows: u64 = files.iter().map(|file| file.rows.unwrap_or(1).max(1)).sum();
    // Of an average row, rounded up, so that large rows are read one by one.
    let row = (bytes / rows.max(1)).max(1);
    let at_once = (BUFFER / row).min(BUFFER_ROWS) / (files.len() as u64).max(1);
    usize::try_from(at_once.max(LEAST_ROWS)).unwrap_or(usize::MAX)
}

impl Piece {
    fn new(rows: RecordBatch, layout: &Layout<'_>) -> Result<Self, ArchiveError> {
        let rows = in_order(&of_today(rows)?, &layout.schema)?;
        let columns = Columns(&rows);
        let is_text = |key: &str| rows.column_by_name(key).is_some_and(|c| c.as_any().is::<StringArray>());
        let key = |key: &&str| match is_text(key) {
            true => columns.text(key).cloned().map(KeyColumn::Text),
            false => columns.long(key).map(KeyColumn::Long),
        };
        let keys = layout.keys.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { rows, keys })
    }

    fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let pairs = self.keys.iter().zip(&other.keys);
        let orders = pairs.map(|pair| match pair {
            (KeyColumn::Long(a), KeyColumn::Long(b)) => a.value(row).cmp(&b.value(other_row)),
            (KeyColumn::Text(a), KeyColumn::Text(b)) => a.value(row).cmp(b.value(other_row)),
            // Both are of one schema.
            _ => Ordering::Equal,
        });
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn is_in_order(&self) -> bool {
        (1..self.rows.num_rows()).all(|row| self.compare(row - 1, self, row).is_le())
    }

    fn ends_after(&self, next: &Self) -> bool {
        self.compare(self.rows.num_rows() - 1, next, 0).is_gt()
    }

    /// The first row after `from` that comes after that row of another file: its run ends there.
    fn until(&self, from: usize, other: &Self, row: usize) -> usize {
        let (mut low, mut high) = (from + 1, self.rows.num_rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.compare(middle, other, row).is_le() { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::{schema::DAY, table::encoding::writer_properties};
    use arrow::{
        array::{ArrayRef, AsArray as _, BinaryArray, Date32Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };
    use object_store::{ObjectStore, memory::InMemory, path::Path};
    use proptest::prelude::*;

    const KEYS: [&str; 2] = ["vehicle", "number"];
    type Row = (String, i64, Vec<u8>);

    fn table() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("vehicle", DataType::Utf8, false),
            Field::new("number", DataType::Int64, false),
            Field::new("wire", DataType::Binary, false),
            Field::new(DAY, DataType::Date32, false),
        ]))
    }

    fn start() -> FileWriter {
        FileWriter::new(&table(), "vehicle,number", writer_properties(&table(), 1).unwrap())
    }

    fn batch(rows: &[Row]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.2))),
            Arc::new(Date32Array::from_value(20_000, rows.len())),
        ];
        RecordBatch::try_new(table(), columns).unwrap()
    }

    async fn put(store: &Arc<dyn ObjectStore>, files: FileWriter) -> Vec<Arc<DataFile>> {
        let adds = files.put(store).await.unwrap();
        let file = |add: &deltalake::kernel::Add| {
            let path = Path::from(add.path.as_str());
            Arc::new(DataFile::new(path, add.size, "2024-10-04".into(), add.stats.as_deref()))
        };
        adds.iter().map(file).collect()
    }

    async fn rows_of(view: &View, file: &DataFile) -> Vec<Row> {
        let mut rows = Vec::new();
        for piece in view.scan_file(file, &[], &Default::default()).await.unwrap() {
            let (text, number) =
                (piece.column(0).as_string::<i32>(), piece.column(1).as_primitive::<Int64Type>());
            let wire = piece.column(2).as_binary::<i32>();
            for at in 0..piece.num_rows() {
                rows.push((text.value(at).to_owned(), number.value(at), wire.value(at).to_vec()));
            }
        }
        rows
    }

    fn sort(rows: &mut [Row]) {
        rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    }

    proptest! {
        /// A merge of any files, of few or many rows, in order or not, small rows or larger ones than the buffer, holds each of
        /// their rows once, in order.
        #[test]
        fn a_merge_holds_all_rows_in_order(
            files in prop::collection::vec(
                (prop::collection::vec(("[a-c]", 0i64..200, 0usize..40), 1..120), prop::bool::weighted(0.9)),
                1..9,
            ),
            large in prop::bool::weighted(0.1),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
                let view = View::empty(store.clone());
                let (mut inputs, mut all) = (Vec::new(), Vec::new());
                for (at, (rows, in_order)) in files.iter().enumerate() {
                    let bytes = |length: usize| {
                        let noise = |n: usize| (n.wrapping_mul(2_654_435_761) >> 7) as u8;
                        (0..if large { length * 3_000 } else { length }).map(|n| noise(n + at)).collect()
                    };
                    let mut rows: Vec<Row> = rows.iter().map(|(v, n, l)| (v.clone(), *n, bytes(*l))).collect();
                    if *in_order {
                        sort(&mut rows);
                    }
                    let mut writer = start();
                    writer.write(&batch(&rows)).unwrap();
                    inputs.extend(put(&store, writer).await);
                    all.extend(rows);
                }
                let merged = merge(&view, &inputs, &KEYS, 20_000, start).await.unwrap();
                let merged = put(&store, merged).await;
                prop_assert_eq!(merged.len(), 1);
                let mut found = rows_of(&view, &merged[0]).await;
                prop_assert!(found.is_sorted_by(|a, b| (&a.0, a.1) <= (&b.0, b.1)));
                found.sort();
                all.sort();
                prop_assert_eq!(found, all);
                Ok(())
            })?;
        }
    }
}
