//! Tables of any spelling: CSV and its kin, Parquet, XLSX.

mod cell;
mod date;
mod dialect;
mod header;
mod mapping;
mod number;
mod options;
mod presets;
mod text;

pub use mapping::Mapping;
pub use options::{Columns, Level, Options, Sign, Units};
