//! Alters one value in a copy of the archive, as someone with access to the store would: the table stays a well-formed
//! Delta table, and only the evidence can tell.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, ArrayRef, Float64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use voltmesh_cloud::{Location, verify_archive};
use voltmesh_ledger::Trust;

/// The column that is altered, by one millivolt.
const COLUMN: &str = "pack_voltage_v";

/// Copies the archive to `copy`, alters one value there, and says whether checking the copy finds it and nothing else.
pub async fn is_found(archive: &Path, copy: &Path, trust: &Trust) -> Result<bool> {
    let _ = fs::remove_dir_all(copy);
    copy_folder(archive, copy)?;
    alter(&copy.join("records"))?;
    let found = verify_archive(&Location::existing_folder(copy)?, trust).await?;
    Ok(!found.is_sound() && found.tampered == 1)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if let Err(error) = fs::copy(entry.path(), &target)
            // The archive lives on while it is copied: a merged file may be gone.
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("cannot copy {}", entry.path().display()));
        }
    }
    Ok(())
}

/// Rewrites the newest data file of a table with one value changed, and its size in the log.
fn alter(table: &Path) -> Result<()> {
    let (log, path) = newest_data_file(table)?;
    let file = table.join(&path);
    let before = fs::metadata(&file)?.len();
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)?;
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build()?.collect::<std::result::Result<_, _>>()?;
    let mut writer = ArrowWriter::try_new(File::create(&file)?, schema, None)?;
    for (n, batch) in batches.iter().enumerate() {
        writer.write(&if n == 0 { raise_first(batch)? } else { batch.clone() })?;
    }
    writer.close()?;
    let after = fs::metadata(&file)?.len();
    let text = fs::read_to_string(&log)?;
    fs::write(&log, text.replace(&format!("\"size\":{before}"), &format!("\"size\":{after}")))?;
    Ok(())
}

fn raise_first(batch: &RecordBatch) -> Result<RecordBatch> {
    let index = batch.schema().index_of(COLUMN)?;
    let column =
        batch.column(index).as_any().downcast_ref::<Float64Array>().context("the voltage is no float")?;
    let first = (0..column.len()).find(|row| column.is_valid(*row)).context("no voltage is known")?;
    let raised = |(row, volts): (usize, Option<f64>)| Some(volts? + if row == first { 0.001 } else { 0.0 });
    let values: Float64Array = column.iter().enumerate().map(raised).collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[index] = Arc::new(values);
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The newest log entry that adds a file which is still part of the table, and that file.
fn newest_data_file(table: &Path) -> Result<(PathBuf, PathBuf)> {
    let mut logs: Vec<PathBuf> = fs::read_dir(table.join("_delta_log"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    logs.sort();
    let mut removed = BTreeSet::new();
    for log in logs.iter().rev() {
        let text = fs::read_to_string(log)?;
        let actions: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let path_of = |action: &Value, kind: &str| Some(action.get(kind)?.get("path")?.as_str()?.to_owned());
        removed.extend(actions.iter().filter_map(|action| path_of(action, "remove")));
        let added = actions.iter().filter_map(|action| path_of(action, "add"));
        for path in added {
            if !removed.contains(&path) && table.join(&path).exists() {
                return Ok((log.clone(), PathBuf::from(path)));
            }
        }
    }
    bail!("the archive has no data yet: tamper with it later in the run")
}
