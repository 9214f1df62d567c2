//! Opening of a table by what its file begins with.

use super::options::Options;
use super::source::{Opened, from_lines};
use super::text::{self, Lines};
use crate::Error;
use std::path::Path;

/// Opens a file by what it begins with.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, Error> {
    let mut reader = text::open(path)?;
    let head = text::fill(&mut reader, 4).map_err(Error::file(path, "reading"))?;
    match head.as_slice() {
        b"PAR1" => parquet(path, options),
        b"PK\x03\x04" => xlsx(path, options),
        [0xd0, 0xcf, 0x11, 0xe0] => Err(Error::format(
            path.display(),
            "this is an Excel file of the old kind (xls): save it as XLSX or CSV",
        )),
        _ => {
            let whole = std::io::Read::chain(std::io::Cursor::new(head), reader);
            from_lines(Lines::read(Box::new(whole), path)?, options, &path.display().to_string())
        }
    }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path, options: &Options) -> Result<Opened, Error> {
    let (source, names) = super::parquet::ParquetSource::open(path)?;
    let sample = source.sample();
    let texts = sample.iter().flatten().filter_map(|kept| match kept.as_cell() {
        super::cell::Cell::Text(text) => Some(text),
        _ => None,
    });
    let decimal = match options.decimal {
        Some(',') => super::number::Decimal::Comma,
        Some(_) => super::number::Decimal::Point,
        None => super::number::decimal_of(texts),
    };
    Ok(Opened {
        source: super::source::Source::Parquet(Box::new(source)),
        names,
        sample,
        decimal,
        grouped: false,
        is_guessed: false,
        is_1904: false,
        dates: Vec::new(),
        kind: "Parquet".into(),
        warnings: Vec::new(),
    })
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path, _: &Options) -> Result<Opened, Error> {
    Err(Error::format(path.display(), "this is a Parquet file, which this build does not read"))
}

#[cfg(feature = "xlsx")]
fn xlsx(path: &Path, options: &Options) -> Result<Opened, Error> {
    super::xlsx::open(path, options)
}

#[cfg(not(feature = "xlsx"))]
fn xlsx(path: &Path, _: &Options) -> Result<Opened, Error> {
    Err(Error::format(path.display(), "this is an XLSX file, which this build does not read"))
}
