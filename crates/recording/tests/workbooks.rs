//! Workbooks in which dates, decimal signs or sheets are not what they seem.

#![cfg(feature = "xlsx")]
#![allow(clippy::unwrap_used)]

use voltmesh_recording::report::{Moment, Report};
use voltmesh_recording::{Options, Recording};

fn read(bytes: &[u8]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xlsx");
    std::fs::write(&path, bytes).unwrap();
    let mut recording = Recording::open(&[path], &Options::new(1_790_000_000_000)).unwrap();
    while recording.next().unwrap().is_some() {}
    recording.report()
}

/// Least and greatest value of a quantity.
fn range(report: &Report, name: &str) -> (f64, f64) {
    let quantity = &report.quantities[name];
    (quantity.min.unwrap(), quantity.max.unwrap())
}

#[track_caller]
fn starts(report: &Report, date: &str) {
    let Moment::Date(start) = &report.segments[0].start else { panic!("{:?}", report.segments) };
    assert!(start.starts_with(date), "{start}");
}

/// A workbook with the part of its properties and the rows of each sheet as stated.
fn workbook(properties: &str, sheets: &[&str]) -> Vec<u8> {
    let names: String = (1..=sheets.len())
        .map(|n| format!("<sheet name=\"S{n}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>"))
        .collect();
    let relations: String = (1..=sheets.len())
        .map(|n| {
            let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet";
            format!("<Relationship Id=\"rId{n}\" Type=\"{kind}\" Target=\"worksheets/sheet{n}.xml\"/>")
        })
        .collect();
    let main = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
                xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"";
    let of_package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let mut entries = vec![
        (
            "xl/workbook.xml".to_owned(),
            format!("<workbook {main}>{properties}<sheets>{names}</sheets></workbook>"),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!("<Relationships xmlns=\"{of_package}\">{relations}</Relationships>"),
        ),
    ];
    for (n, rows) in sheets.iter().enumerate() {
        let text = format!("<worksheet {main}><sheetData>{rows}</sheetData></worksheet>");
        entries.push((format!("xl/worksheets/sheet{}.xml", n + 1), text));
    }
    zip(&entries)
}

/// Cells of a row: numbers as such, others as text.
fn row(number: u32, cells: &[&str]) -> String {
    let cell = |(column, cell): (usize, &&str)| {
        let at = format!("{}{number}", char::from(b'A' + column as u8));
        match cell.parse::<f64>() {
            Ok(_) => format!("<c r=\"{at}\"><v>{cell}</v></c>"),
            Err(_) => format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"),
        }
    };
    let cells: String = cells.iter().enumerate().map(cell).collect();
    format!("<row r=\"{number}\">{cells}</row>")
}

/// A zip archive of entries that are not packed (APPNOTE 6.3.10).
fn zip(entries: &[(String, String)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in entries {
        let mut sum = flate2::Crc::new();
        sum.update(text.as_bytes());
        let mut common = Vec::new();
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x5a]);
        for number in [sum.sum(), text.len() as u32, text.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(text.as_bytes());
    }
    let from = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(from.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn dates_of_a_workbook_count_from_its_year() {
    let rows = |days: f64| {
        (2..22).fold(row(1, &["Date", "u", "i"]), |text, n| {
            let day = format!("{:.9}", days + f64::from(n - 2) / 86_400.0);
            text + &row(n, &[&day, "355.2", "-12.5"])
        })
    };
    let (of_1900, of_1904) = (rows(45_062.25), rows(43_600.25));
    starts(&read(&workbook("", &[&of_1900])), "2023-05-16T06:00:00");
    for property in ["<workbookPr date1904=\"1\"/>", "<workbookPr codeName=\"a\" date1904=\"true\"/>"] {
        starts(&read(&workbook(property, &[&of_1904])), "2023-05-16T06:00:00");
    }
    let same = "<workbookPr date1904=\"0\"/>";
    starts(&read(&workbook(same, &[&of_1900])), "2023-05-16T06:00:00");
}

#[test]
fn texts_in_a_sheet_have_their_own_decimal_sign_and_further_sheets_are_named() {
    let rows = (2..22).fold(row(1, &["Zeit [s]", "Spannung [V]", "Strom [A]"]), |text, n| {
        text + &row(n, &[&n.to_string(), "355,2", "-12,5"])
    });
    let report = read(&workbook("", &[&rows, &rows]));
    assert_eq!(
        (range(&report, "pack_voltage_v"), range(&report, "pack_current_a")),
        ((355.2, 355.2), (-12.5, -12.5))
    );
    assert!(report.warnings.iter().any(|text| text.contains("\"S2\"")), "{:?}", report.warnings);
}

#[test]
fn the_sheet_of_the_samples_is_read_behind_summaries_of_cycles_and_steps() {
    let cycles = row(1, &["Cycle Index", "Chg. Cap.(Ah)", "DChg. Cap.(Ah)"]) + &row(2, &["1", "0", "1.5"]);
    let samples = (2..22)
        .fold(row(1, &["DataPoint", "Step Type", "Total Time", "Current(A)", "Voltage(V)"]), |text, n| {
            text + &row(n, &[&n.to_string(), "CC DChg", &format!("00:00:{n:02}"), "-1.5", "3.7"])
        });
    let report = read(&workbook("", &[&cycles, &samples]));
    assert_eq!((report.samples, range(&report, "pack_voltage_v")), (20, (3.7, 3.7)));
    assert!(report.format.contains("\"S2\""), "{}", report.format);
}
