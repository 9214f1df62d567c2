//! Sheets of XLSX files. A sheet is held in memory, so its size is bounded.

mod workbook;

use super::cell::{Cell, Kept};
use super::date::{SECOND_NS, days};
use super::dialect;
use super::input::Input;
use super::number::{Decimal, decimal_of};
use super::options::Options;
use super::plan::Plan;
use super::presets;
use super::source::{KeptSource, Opened, Source};
use crate::Error;
use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Largest file that is read: 32 MB.
const MAX_FILE: u64 = 32 << 20;
/// Most cells of a sheet: 1.5 million of 24 bytes are 36 MB.
const MAX_CELLS: usize = 1_500_000;
/// Most columns of a sheet, as in Excel.
const MAX_COLUMNS: usize = 16_384;

/// Opens the first sheet that has a time, a voltage and a current, else the first whose columns are named: testers write
/// summaries of cycles and steps before it.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, Error> {
    let place = path.display().to_string();
    let size = std::fs::metadata(path).map_err(Error::file(path, "opening"))?.len();
    if size > MAX_FILE {
        return Err(Error::format(
            place,
            "an XLSX file of more than 32 MB is not read: save the sheet as CSV",
        ));
    }
    let file = File::open(path).map_err(Error::file(path, "opening"))?;
    let damaged = |error: calamine::XlsxError| match error {
        calamine::XlsxError::FileNotFound(_) => {
            "this is a zip archive and no XLSX file: unpack it".to_owned()
        }
        other => format!("this XLSX file cannot be read: {other}"),
    };
    let mut book = Xlsx::new(BufReader::new(file)).map_err(|e| Error::format(&place, damaged(e)))?;
    let is_1904 = workbook::counts_from_1904(path);
    let (mut problem, mut named) = (None, None);
    let mut sheets = book.sheet_names().into_iter();
    while let Some(sheet) = sheets.next() {
        let rows = rows(&mut book, &sheet).map_err(|problem| Error::format(&place, problem))?;
        match opened(rows, &sheet, options, &place) {
            Ok(mut opened) => {
                opened.is_1904 = is_1904;
                if !has_plan(&opened, options, &place) {
                    named = named.or(Some(sheet));
                    continue;
                }
                opened.warnings.extend(alike(&mut book, sheets, &opened, options));
                return Ok(opened);
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    // What it lacks is said where it is read; its rows are read again rather than held beside those of others.
    if let Some(sheet) = named {
        let rows = rows(&mut book, &sheet).map_err(|problem| Error::format(&place, problem))?;
        return Ok(Opened { is_1904, ..opened(rows, &sheet, options, &place)? });
    }
    Err(problem.unwrap_or_else(|| Error::format(place, "the XLSX file has no sheet")))
}

/// Whether the columns of a sheet tell a time, a voltage and a current.
fn has_plan(opened: &Opened, options: &Options, place: &str) -> bool {
    let mut names = opened.names.clone();
    presets::rename(&mut names);
    let input = Input {
        names: &names,
        sample: &opened.sample,
        options,
        decimal: opened.decimal,
        grouped: opened.grouped,
        is_guessed: opened.is_guessed,
        is_1904: opened.is_1904,
        dates: &opened.dates,
        preset: presets::find(&names),
        place,
    };
    !opened.sample.is_empty() && Plan::find(&input).is_ok()
}

/// The warning about further sheets with the same columns.
fn alike(
    book: &mut Xlsx<BufReader<File>>,
    sheets: impl Iterator<Item = String>,
    first: &Opened,
    options: &Options,
) -> Option<String> {
    let mut is_alike = |sheet: &String| {
        let Ok(rows) = rows(book, sheet) else { return false };
        opened(rows, sheet, options, "").is_ok_and(|other| {
            !other.sample.is_empty()
                && other.names.iter().map(|name| &name.text).eq(first.names.iter().map(|name| &name.text))
        })
    };
    let names: Vec<String> = sheets.filter(|sheet| is_alike(sheet)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "sheets {names:?} have the same columns and are not read: save each of them as a file of its own"
        )
    })
}

/// All rows of a sheet.
fn rows(book: &mut Xlsx<BufReader<File>>, sheet: &str) -> Result<Vec<Vec<Kept>>, String> {
    let damaged = |error: calamine::XlsxError| format!("sheet {sheet:?} cannot be read: {error}");
    let mut cells = book.worksheet_cells_reader(sheet).map_err(damaged)?;
    let (mut rows, mut count) = (Vec::<Vec<Kept>>::new(), 0);
    while let Some(found) = cells.next_cell().map_err(damaged)? {
        let (row, column) = found.get_position();
        let (row, column) = (row as usize, column as usize);
        count += 1 + (row + 1).saturating_sub(rows.len());
        if count > MAX_CELLS || column >= MAX_COLUMNS {
            return Err(format!("sheet {sheet:?} has more than {MAX_CELLS} cells: save it as CSV"));
        }
        if rows.len() <= row {
            rows.resize_with(row + 1, Vec::new);
        }
        let cells = &mut rows[row];
        if cells.len() <= column {
            count += column - cells.len();
            cells.resize(column + 1, Kept::Empty);
        }
        cells[column] = kept(found.get_value());
    }
    Ok(rows)
}

fn kept(value: &DataRef<'_>) -> Kept {
    let text = |text: &str| match text.trim() {
        "" => Kept::Empty,
        text => Kept::Text(text.as_bytes().into()),
    };
    match value {
        DataRef::Int(value) => Kept::Number(*value as f64),
        DataRef::Float(value) => Kept::Number(*value),
        DataRef::Bool(value) => Kept::Number(f64::from(u8::from(*value))),
        DataRef::String(value) => text(value),
        DataRef::SharedString(value) => text(value),
        DataRef::DateTimeIso(value) | DataRef::DurationIso(value) => text(value),
        DataRef::DateTime(value) => moment(value),
        DataRef::Error(_) => Kept::Text(b"n/a".as_slice().into()),
        DataRef::Empty => Kept::Empty,
    }
}

/// A date, or for a time without a date `hh:mm:ss`.
fn moment(value: &ExcelDateTime) -> Kept {
    if value.is_duration() || value.as_f64() < 1.0 {
        let ms = (value.as_f64() * 86_400_000.0).round() as i64;
        let (s, ms) = (ms.div_euclid(1000), ms.rem_euclid(1000));
        let text = format!("{}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60);
        return Kept::Text(text.into_bytes().into());
    }
    let (year, month, day, h, m, s, ms) = value.to_ymd_hms_milli();
    match days(i64::from(year), i64::from(month), i64::from(day)) {
        Some(days) => {
            let seconds = days * 86_400 + i64::from(h) * 3600 + i64::from(m) * 60 + i64::from(s);
            Kept::Date(seconds * SECOND_NS + i64::from(ms) * 1_000_000, false)
        }
        None => Kept::Empty,
    }
}

fn opened(mut rows: Vec<Vec<Kept>>, sheet: &str, options: &Options, place: &str) -> Result<Opened, Error> {
    let stated = options.decimal;
    let options =
        Options { separator: Some('\t'), decimal: Some(options.decimal.unwrap_or('.')), ..options.clone() };
    let head: Vec<Vec<u8>> = rows.iter().take(dialect::HEAD_LINES).map(|row| line(row)).collect();
    if head.iter().all(Vec::is_empty) {
        return Err(Error::format(place, format!("sheet {sheet:?} is empty")));
    }
    let found = dialect::find(&head, &options, place)?;
    let values = rows.split_off(found.before.min(rows.len()));
    let sample: Vec<Vec<Kept>> = values.iter().take(dialect::HEAD_LINES).cloned().collect();
    // Numbers that are stored as such have no decimal sign.
    let texts = sample.iter().flatten().filter_map(|kept| match kept.as_cell() {
        Cell::Text(text) => Some(text),
        _ => None,
    });
    let decimal = match stated {
        Some(',') => Decimal::Comma,
        Some(_) => Decimal::Point,
        None => decimal_of(texts),
    };
    let source = Source::Kept(KeptSource { rows: values, first_row: found.before, next: 0 });
    Ok(Opened {
        source,
        names: found.names,
        sample,
        decimal,
        grouped: false,
        is_guessed: false,
        is_1904: false,
        dates: Vec::new(),
        kind: format!("XLSX, sheet {sheet:?}"),
        warnings: found.warnings,
    })
}

/// A row as text, for finding the header.
fn line(row: &[Kept]) -> Vec<u8> {
    let cell = |cell: &Kept| match cell {
        Kept::Empty => String::new(),
        Kept::Text(text) => String::from_utf8_lossy(text).replace(['\t', '\n', '\r', '"'], " "),
        Kept::Number(value) => value.to_string(),
        Kept::Date(..) => "2000-01-01 00:00:00".into(),
    };
    row.iter().map(cell).collect::<Vec<_>>().join("\t").into_bytes()
}
