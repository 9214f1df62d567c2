//! Tables of any spelling: CSV and its kin, Parquet, XLSX.

mod beside;
mod cell;
mod date;
mod day;
mod dialect;
mod elsewhere;
mod encoding;
mod excel;
mod foreign;
mod found;
mod header;
mod input;
mod mapping;
mod number;
mod open;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod plan;
mod presets;
mod reader;
mod repeated;
mod said;
mod sign;
mod source;
mod text;
mod time;
mod value;
#[cfg(feature = "xlsx")]
mod xlsx;

pub(crate) use elsewhere::log_can_be_gps;
pub use found::Found;
pub(crate) use header::first_number;
pub use mapping::Mapping;
pub(crate) use mapping::fits;
pub use options::{Columns, Level, Options, Sign, Units};
pub use reader::Table;
pub(crate) use sign::names_a_discharge;
pub(crate) use text::{fill as beginning, open as open_packed};
