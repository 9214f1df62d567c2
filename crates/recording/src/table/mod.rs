//! Tables of any spelling: CSV and its kin, Parquet, XLSX.

mod mapping;

pub use mapping::Mapping;
