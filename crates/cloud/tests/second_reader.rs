//! Somebody else's reader: the `deltalake` package for Python, and DuckDB's if that is there too.
//! Skipped, with the reason, where Python or the package is missing. `VOLTMESH_PYTHON` names another interpreter.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails should stop, and one that is skipped say so"
)]

mod common;

use std::process::Command;
use voltmesh_cloud::{
    Archive, Commit, Entry, Location, Marks, Settings, dedup,
    testing::{Fleet, verified},
};
use voltmesh_telemetry::Timestamp;

const SCRIPT: &str = r#"
import os, sys
from deltalake import DeltaTable
root = sys.argv[1]
records = DeltaTable(root + "/records").to_pyarrow_table()
batches = DeltaTable(root + "/batches").to_pyarrow_table()
assert records.num_rows == 40, records.num_rows
assert batches.num_rows == 4, batches.num_rows
assert sorted(records["number"].to_pylist()) == sorted(list(range(20)) * 2)
assert all(len(cells) == 96 for cells in records["cells_mv"].to_pylist())
assert all(350 < v < 360 for v in records["pack_voltage_v"].to_pylist())
assert str(records.schema.field("time").type) == "timestamp[us, tz=UTC]", records.schema
assert set(records["batch_id"].to_pylist()) == set(batches["batch_id"].to_pylist())
print("deltalake reads", records.num_rows, "records")
try:
    import duckdb
    mean = duckdb.sql("SELECT avg(pack_voltage_v) FROM records WHERE vehicle = 'ev-1'").fetchall()[0][0]
    assert 350 < mean < 360, mean
    print("DuckDB reads them too")
except ImportError:
    print("DuckDB is not installed")
# Not through the interpreter's teardown, which now and then aborts in pyarrow's own threads.
sys.stdout.flush()
os._exit(0)
"#;

#[test]
fn python_reads_the_archive() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(fill(&Location::folder(folder.path()).unwrap()));
    read(&python, folder.path());
}

/// Rows that stood twice and were removed are gone for other engines, too; files of the old snapshot harm nobody.
#[test]
fn python_reads_the_archive_after_doubled_rows_were_removed() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let location = Location::folder(folder.path()).unwrap();
        let mut fleet = fill(&location).await;
        let batch = fleet.boot(1, 1, &[12, 8]).remove(0);
        let delivery = fleet.envelope(0, &batch);
        let entry = Entry { batch: verified(&delivery, &fleet.trust()).into(), kept: None };
        let (mut archive, _) = Archive::open(&location, Settings::default()).await.unwrap();
        let commit = Commit {
            ticket: 0,
            time: Timestamp::from_millis(1_780_400_000_000),
            entries: vec![entry],
            copies: Vec::new(),
            quarantine: Vec::new(),
            marks: Marks::default(),
        };
        archive.commit(&commit).await.unwrap();
        drop(archive);
        let done = dedup(&location, &fleet.trust(), false).await.unwrap();
        assert_eq!((done.removed_records, done.removed_batches, done.left), (12, 1, 0), "{done:#?}");
    });
    read(&python, folder.path());
}

/// An interpreter that has the package; says why not otherwise.
fn python() -> Option<String> {
    let python = std::env::var("VOLTMESH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match Command::new(&python).args(["-c", "import deltalake, pyarrow"]).output() {
        Ok(output) if output.status.success() => return Some(python),
        Ok(_) => {
            println!("skipped: {python} cannot import deltalake and pyarrow (pip install deltalake pyarrow)")
        }
        Err(error) => println!("skipped: {python} does not run: {error}"),
    }
    None
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn read(python: &str, folder: &std::path::Path) {
    let output = Command::new(python).args(["-c", SCRIPT]).arg(folder).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

#[cfg(feature = "sql")]
#[test]
fn sql_reads_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        fill(&Location::folder(folder.path()).unwrap()).await;
        let location = Location::existing(folder.path().to_str().unwrap(), &Default::default()).unwrap();
        let sql = "SELECT vehicle, count(*) AS n FROM records GROUP BY vehicle ORDER BY vehicle";
        let rows = voltmesh_cloud::query(&location, sql).await.unwrap();
        assert_eq!(
            rows.to_json_lines().unwrap(),
            "{\"vehicle\":\"ev-0\",\"n\":20}\n{\"vehicle\":\"ev-1\",\"n\":20}\n"
        );
        assert!(rows.to_table().unwrap().contains("| ev-1    | 20 |"));
        let wrong = voltmesh_cloud::query(&location, "SELECT nothing FROM nowhere").await;
        assert!(matches!(wrong, Err(voltmesh_cloud::QueryError::Query(_))));
    });
}

/// Every file of a folder with its content.
#[cfg(feature = "sql")]
fn files(folder: &std::path::Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    all
}

#[cfg(feature = "sql")]
#[test]
fn sql_only_reads_and_only_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    let (other, out) = (folder.path().join("other.csv"), folder.path().join("out"));
    std::fs::write(&other, "a,b\n1,2\n").unwrap();
    let (other, out) = (other.to_str().unwrap(), out.to_str().unwrap());
    runtime().block_on(async {
        fill(&Location::folder(&archive).unwrap()).await;
        let location = Location::existing(archive.to_str().unwrap(), &Default::default()).unwrap();
        let before = files(folder.path());
        for sql in [
            format!("COPY records TO '{out}.parquet' STORED AS PARQUET"),
            format!("COPY (SELECT 1) TO '{out}.csv'"),
            "INSERT INTO records SELECT * FROM records".to_owned(),
            "DELETE FROM records".to_owned(),
            "UPDATE records SET vehicle = 'x'".to_owned(),
            "TRUNCATE TABLE records".to_owned(),
            "DROP TABLE records".to_owned(),
            "CREATE TABLE t AS SELECT * FROM records".to_owned(),
            "CREATE VIEW v AS SELECT * FROM records".to_owned(),
            "CREATE SCHEMA s".to_owned(),
            format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{other}'"),
            format!("CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION '{out}'"),
            format!("SELECT * FROM '{other}'"),
            format!("SELECT * FROM \"file://{other}\""),
            format!("SELECT * FROM read_csv('{other}')"),
            format!("SELECT * FROM read_parquet('{other}')"),
            format!("SELECT * FROM parquet_metadata('{other}')"),
            "SET datafusion.execution.batch_size = 1".to_owned(),
            "RESET datafusion.execution.batch_size".to_owned(),
            "BEGIN TRANSACTION".to_owned(),
            "PREPARE p AS SELECT 1".to_owned(),
            "CREATE FUNCTION f() RETURNS INT RETURN 1".to_owned(),
            format!("EXPLAIN ANALYZE COPY records TO '{out}.json'"),
            "EXPLAIN ANALYZE INSERT INTO records SELECT * FROM records".to_owned(),
            "SELECT 1; DROP TABLE records".to_owned(),
        ] {
            let refused = voltmesh_cloud::query(&location, &sql).await;
            assert!(matches!(refused, Err(voltmesh_cloud::QueryError::Query(_))), "{sql}: {refused:?}");
        }
        assert!(files(folder.path()) == before, "a statement wrote or removed a file");
        for sql in [
            "SELECT count(*) FROM records",
            "WITH r AS (SELECT vehicle FROM records) SELECT * FROM r UNION SELECT 'x'",
            "EXPLAIN SELECT * FROM batches",
            "EXPLAIN ANALYZE SELECT * FROM batches",
            "SHOW TABLES",
            "DESCRIBE quarantine",
            "SHOW COLUMNS FROM records",
        ] {
            voltmesh_cloud::query(&location, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    });
}

#[cfg(feature = "sql")]
#[test]
fn sql_keeps_to_its_time_and_memory() {
    use std::time::Duration;
    use voltmesh_cloud::{QueryError, QueryLimits, query_within};

    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        fill(&Location::folder(folder.path()).unwrap()).await;
        let location = Location::existing(folder.path().to_str().unwrap(), &Default::default()).unwrap();
        let endless = "SELECT count(*) FROM range(0, 10000000) a, range(0, 10000000) b, range(0, 10000000) c";
        let limits = QueryLimits { time: Duration::from_millis(500), ..QueryLimits::default() };
        let late = query_within(&location, endless, &limits).await;
        assert!(matches!(late, Err(QueryError::Time { .. })), "{late:?}");
        let small = QueryLimits { memory: 1 << 20, ..QueryLimits::default() };
        let sort = "SELECT value FROM range(0, 3000000) ORDER BY value % 977, value LIMIT 1 OFFSET 2999999";
        let full = query_within(&location, sort, &small).await;
        assert!(matches!(full, Err(QueryError::Query(_))), "{full:?}");
        let small = QueryLimits { memory: 8 << 20, ..QueryLimits::default() };
        let large = query_within(&location, "SELECT * FROM range(0, 10000000)", &small).await;
        assert!(matches!(large, Err(QueryError::Answer { .. })), "{large:?}");
    });
}

/// An archive with a Delta checkpoint between its commits.
async fn fill(location: &Location) -> Fleet {
    common::fill(location, Settings { checkpoint_every: 2, ..Settings::default() }).await
}
