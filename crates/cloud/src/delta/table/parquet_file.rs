//! One Parquet file that is being written, in memory: rows are encoded as they come, row group by row group.
//!
//! **Memory.** The encoded pages of a row group wait until it ends; then they go, one after the other, into blocks of [`BLOCK`]
//! bytes, which the object store takes as they are: a file's bytes are held once, and one page twice.
//!
//! All columns are encoded by the library but for the cells' voltages ([`super::cells_column`]).

use super::{cells_column::CellsColumn, encoding::GROUP_ROWS};
use crate::delta::ArchiveError;
use arrow::{
    array::{ArrayRef, AsArray as _, RecordBatch},
    datatypes::{Field, SchemaRef},
};
use bytes::Bytes;
use object_store::{PutPayload, PutPayloadMut};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    errors::Result,
    file::{metadata::ParquetMetaData, properties::WriterProperties, writer::SerializedFileWriter},
};
use std::io;

/// Bytes of a block of the file.
const BLOCK: usize = 256 << 10;

/// The blocks of a file that is being written.
struct Blocks(PutPayloadMut);

impl io::Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is being written.
pub(super) struct ParquetFile {
    schema: SchemaRef,
    writer: SerializedFileWriter<Blocks>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<Group>,
}

/// A row group that is being encoded.
struct Group {
    columns: Vec<ArrowColumnWriter>,
    /// The cells, and their place among the columns, of which the writer then stays empty.
    cells: Option<(usize, CellsColumn)>,
    rows: usize,
}

impl ParquetFile {
    /// Begins a file of these columns.
    pub fn new(schema: SchemaRef, properties: WriterProperties) -> std::result::Result<Self, ArchiveError> {
        let blocks = Blocks(PutPayloadMut::new().with_block_size(BLOCK));
        let writer = ArrowWriter::try_new(blocks, schema.clone(), Some(properties));
        let parts = writer.and_then(ArrowWriter::into_serialized_writer);
        let (writer, factory) = parts.map_err(ArchiveError::store)?;
        Ok(Self { schema, writer, factory, group: None })
    }

    /// Appends rows with the columns of the file, in their order.
    pub fn write(&mut self, rows: &RecordBatch) -> std::result::Result<(), ArchiveError> {
        self.append(rows).map_err(ArchiveError::store)
    }

    fn append(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < rows.num_rows() {
            let mut group = match self.group.take() {
                Some(group) => group,
                None => self.begin_group()?,
            };
            let count = (GROUP_ROWS - group.rows).min(rows.num_rows() - from);
            group.write(&self.schema, &rows.slice(from, count))?;
            from += count;
            let full = group.rows == GROUP_ROWS;
            self.group = Some(group);
            if full {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn begin_group(&self) -> Result<Group> {
        let columns = self.factory.create_column_writers(self.writer.flushed_row_groups().len())?;
        let leaves = self.writer.schema_descr().columns().iter().enumerate();
        let cells = leaves.filter_map(|(at, leaf)| Some((at, CellsColumn::of(leaf)?))).next();
        Ok(Group { columns, cells, rows: 0 })
    }

    fn end_group(&mut self) -> Result<()> {
        let Some(Group { columns, mut cells, .. }) = self.group.take() else { return Ok(()) };
        let mut group = self.writer.next_row_group()?;
        for (at, column) in columns.into_iter().enumerate() {
            match cells.take_if(|(place, _)| *place == at) {
                Some((_, cells)) => {
                    let (bytes, close) = cells.close()?;
                    group.append_column(&Bytes::from(bytes), close)?;
                }
                None => column.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        Ok(())
    }

    /// Ends the file: its bytes, and what its footer says.
    pub fn finish(mut self) -> std::result::Result<(PutPayload, ParquetMetaData), ArchiveError> {
        let metadata = self.end_group().and_then(|()| self.writer.finish()).map_err(ArchiveError::store)?;
        Ok((std::mem::take(&mut self.writer.inner_mut().0).freeze(), metadata))
    }
}

impl Group {
    fn write(&mut self, schema: &SchemaRef, rows: &RecordBatch) -> Result<()> {
        let mut at = 0;
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            at += self.write_column(at, field, column)?;
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    /// Encodes a column whose first leaf is at this place; returns how many it has.
    fn write_column(&mut self, at: usize, field: &Field, column: &ArrayRef) -> Result<usize> {
        if let Some((place, cells)) = &mut self.cells
            && *place == at
            && let Some(lists) = column.as_list_opt::<i32>()
        {
            cells.write(lists)?;
            return Ok(1);
        }
        let leaves = compute_leaves(field, column)?;
        for (leaf, writer) in leaves.iter().zip(self.columns.iter_mut().skip(at)) {
            writer.write(leaf)?;
        }
        Ok(leaves.len())
    }
}
