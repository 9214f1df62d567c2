//! Rows of the tables: their columns, made from what they record and read back.

mod archived_row;
mod batches;
mod causes;
mod channels_column;
mod columns;
mod content;
mod evidence;
mod older_layouts;
mod quarantine;
mod records;
pub mod schema;

pub use archived_row::{ArchivedRow, Cursor, archived_rows};
pub use batches::{StoredBatch, batch_rows, entry_of, stored_batches};
pub use channels_column::ArchivedChannel;
pub use columns::{Columns, id_of, unsigned};
pub use older_layouts::of_today;
pub use quarantine::quarantine_rows;
pub use records::{record_pieces, record_rows};
pub use schema::from_micros;
