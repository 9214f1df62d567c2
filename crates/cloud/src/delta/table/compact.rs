//! Fewer, larger, sorted files: what keeps look-ups and other engines quick when commits are frequent.
//!
//! **Tiers.** A file belongs to the tier of its number of rows: below `n`, below `n²`, and so on, where `n` files of one
//! tier and day are merged into one of a higher tier; fewer, at least [`FEW`], if together they are full or have [`ENOUGH`]
//! bytes. A file of [`FULL_ROWS`] rows or [`LARGE`] bytes is left alone. When a day is over, its files below [`SETTLED`] rows and
//! [`SETTLED_BYTES`] are merged as far as those bounds allow; larger ones are left alone, since what a merge replaces stays on the
//! disk for hours.
//!
//! **Write amplification.** Each merge moves a row to a higher tier, so it is written once when it is committed, once for
//! each tier (with the default `n` of 32 and 65,536 rows at most four), and once or twice when the day is over. A merge of
//! fewer than `n` files makes one that is at least [`FEW`] times as large as any of them: from [`ENOUGH`] to [`LARGE`] bytes once.

use super::{Table, files::DataFile, merge::merge};
use crate::delta::{ArchiveError, rows::schema};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use voltmesh_telemetry::Timestamp;

/// Files of so many bytes are left alone: the memory of a merge is twice that, since it holds what it reads and what it writes as
/// they are stored.
const LARGE: u64 = 16 << 20;
/// Bytes that a merge reads at most.
const MAX_INPUT: u64 = LARGE;
/// Files that a merge reads at most, each of which is open while it lasts: with some 100 kB of a file's index and its pages, 6 MB.
const MAX_FILES: usize = 64;
/// Files of so many rows are left alone, and a merge reads at most so many: of 96 cells, 4 MB as they are stored.
const FULL_ROWS: u64 = 65_536;

/// So many files at least are merged before there are `n`.
const FEW: usize = 4;
/// Bytes of files that are worth a merge before there are `n`: each file of `batches` holds what each vehicle's batches share, and
/// eight commits of 1,000 vehicles hold it eight times, 130 bytes a vehicle.
const ENOUGH: u64 = LARGE / 2;

/// Files of so many rows are left alone once their day is over.
const SETTLED: u64 = FULL_ROWS / 4;
/// And files of so many bytes: rows of `batches` are large and few.
const SETTLED_BYTES: u64 = LARGE / 8;

/// Merges files of one day and tier into one, sorted by `keys`, if there are `threshold` of them or the day is over.
pub async fn compact(
    table: &mut Table,
    threshold: usize,
    keys: &[&str],
    metadata: Value,
    now: Timestamp,
) -> Result<bool, ArchiveError> {
    if threshold < 2 {
        return Ok(false);
    }
    let files = table.view().files();
    let Some((day, files)) = next_merge(&files, threshold, schema::day(now)) else { return Ok(false) };
    let merged = merge(&table.view(), &files, keys, day, || table.merged()).await?;
    table.replace(&files, merged, metadata, now).await?;
    Ok(true)
}

/// The day and the files to merge next, two or more: of the lowest tier that is full, or of a day before `today`.
fn next_merge(files: &[Arc<DataFile>], threshold: usize, today: i32) -> Option<(i32, Vec<Arc<DataFile>>)> {
    let mut tiers: BTreeMap<(i32, u32), Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        let rows = file.rows.unwrap_or(FULL_ROWS);
        let Some(day) = schema::day_number(&file.day) else { continue };
        let (enough, large) = if day < today { (SETTLED, SETTLED_BYTES) } else { (FULL_ROWS, LARGE) };
        if rows < enough && file.size < large {
            // A day that is over has one tier.
            let tier = if day < today { 0 } else { rows.max(1).ilog(threshold as u64) };
            tiers.entry((day, tier)).or_default().push(file.clone());
        }
    }
    tiers
        .into_iter()
        .map(|((day, _), mut files)| {
            files.sort_by_key(|file| (file.rows, file.size));
            let all = day < today || files.len() >= threshold;
            let chosen = if all { fitting(&files) } else { worth_it(&files) };
            files.truncate(chosen);
            (day, files)
        })
        .find(|(_, files)| files.len() >= 2)
}

/// How many of these, the first ones, one merge may read.
fn fitting(files: &[Arc<DataFile>]) -> usize {
    let (mut bytes, mut rows) = (0, 0);
    let fits = |file: &&Arc<DataFile>| {
        bytes += file.size;
        rows += file.rows.unwrap_or(FULL_ROWS);
        bytes <= MAX_INPUT && rows <= FULL_ROWS
    };
    files.iter().take(MAX_FILES).take_while(fits).count()
}

/// How many of these, the first ones, to merge although they are few: those that fill a file, or have enough bytes. None of them
/// may be large beside the others, or it would be written again and again.
fn worth_it(files: &[Arc<DataFile>]) -> usize {
    let most = fitting(files);
    let full = most < files.len();
    let bytes = |count: usize| files[..count].iter().map(|file| file.size).sum::<u64>();
    let rows = |count: usize| files[..count].iter().filter_map(|file| file.rows).sum::<u64>();
    let even = |count: usize| {
        let largest =
            |size: fn(&DataFile) -> u64| files[..count].iter().map(|file| size(file)).max().unwrap_or(0);
        let few = FEW as u64;
        largest(|file| file.size) * few <= bytes(count)
            && largest(|file| file.rows.unwrap_or(0)) * few <= rows(count)
    };
    let worth = |count: &usize| even(*count) && (bytes(*count) >= ENOUGH || (full && *count == most));
    (FEW..=most).rev().find(worth).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::path::Path;

    fn file(n: usize, day: &str, rows: u64, size: u64) -> Arc<DataFile> {
        let stats = format!("{{\"numRecords\":{rows}}}");
        let path = Path::from(format!("{n}.parquet"));
        Arc::new(DataFile::new(path, size as i64, day.to_owned(), Some(&stats)))
    }

    /// A file's header and footer, and its rows.
    fn bytes(rows: u64) -> u64 {
        11_000 + rows * 50
    }

    /// Merges as long as there is something to merge; returns how often each row was written on average.
    fn settle(files: &mut Vec<Arc<DataFile>>, threshold: usize, today: &str, written: &mut u64) {
        let mut merges = 0;
        while let Some((_, old)) = next_merge(files, threshold, schema::day_number(today).unwrap()) {
            let rows = old.iter().filter_map(|file| file.rows).sum();
            assert!(old.len() >= 2 && rows <= FULL_ROWS);
            assert!(old.iter().map(|file| file.size).sum::<u64>() <= MAX_INPUT);
            *written += rows;
            files.retain(|file| !old.iter().any(|o| o.path == file.path));
            merges += 1;
            files.push(file(1_000_000 + *written as usize * 100 + merges, &old[0].day, rows, bytes(rows)));
        }
    }

    #[test]
    fn a_day_of_small_commits_is_rewritten_a_few_times_and_ends_as_few_files() {
        for (commits, rows, threshold) in [(86_400, 1, 32), (2_880, 30, 32), (8_640, 10, 16), (500, 1_000, 4)]
        {
            let mut files = Vec::new();
            let (mut written, mut most) = (0, 0);
            for n in 0..commits {
                files.push(file(n, "2026-06-01", rows, bytes(rows)));
                settle(&mut files, threshold, "2026-06-01", &mut written);
                most = most.max(files.len());
            }
            let (within, small) =
                (written, files.iter().filter_map(|file| file.rows).filter(|r| *r < SETTLED));
            let small: u64 = small.sum();
            settle(&mut files, threshold, "2026-06-02", &mut written);
            assert!(written - within <= 2 * small, "{commits} × {rows}: {} of {small}", written - within);
            let total = commits as u64 * rows;
            assert_eq!(files.iter().filter_map(|file| file.rows).sum::<u64>(), total);
            let tiers = f64::from(FULL_ROWS.ilog(threshold as u64) + 1);
            let amplification = 1.0 + written as f64 / total as f64;
            assert!(amplification <= tiers + 3.0, "{commits} × {rows}: {amplification}");
            assert!(
                most <= threshold * (tiers as usize + 1)
                    + commits * rows as usize / (FULL_ROWS as usize / 2)
                    + 1
            );
            assert!(files.len() as u64 <= total / SETTLED + 1, "{commits} × {rows}: {}", files.len());
        }
    }

    /// A day of a fleet's commits, each some 10,000 records and a megabyte of batches: what waits for a merge is little, and
    /// each row is still written once or twice more.
    #[test]
    fn a_fleets_commits_are_merged_before_there_are_many() {
        let today = schema::day_number("2026-06-01").unwrap();
        for (rows, size) in
            [(10_180, 560 << 10), (1_018, 1_030 << 10), (1_100, 1_100 << 10), (5_090, 290 << 10)]
        {
            let (mut files, mut written, mut merges, mut most_small) = (Vec::new(), 0, 0, 0);
            let commits = 400;
            for n in 0..commits {
                files.push(file(n, "2026-06-01", rows, size));
                while let Some((_, old)) = next_merge(&files, 32, today) {
                    let all: u64 = old.iter().filter_map(|file| file.rows).sum();
                    let bytes: u64 = old.iter().map(|file| file.size).sum();
                    assert!(old.len() >= 2 && all <= FULL_ROWS && bytes <= MAX_INPUT);
                    written += bytes;
                    merges += 1;
                    files.retain(|file| !old.iter().any(|o| o.path == file.path));
                    files.push(file(1_000_000 + merges, "2026-06-01", all, bytes));
                }
                let small: u64 = files.iter().filter(|file| file.size == size).map(|file| file.size).sum();
                most_small = most_small.max(small);
            }
            let total = commits as u64 * size;
            assert_eq!(files.iter().map(|file| file.size).sum::<u64>(), total, "no row is lost");
            assert!(most_small < ENOUGH + 2 * size, "{rows}: {most_small} bytes wait");
            assert!(written <= 3 * total, "{rows}: written {written} of {total}");
            assert!(
                files.len() < 40 + commits * rows as usize / (FULL_ROWS as usize / 2),
                "{rows}: {}",
                files.len()
            );
        }
    }

    #[test]
    fn full_files_and_a_few_small_ones_of_today_are_left_alone() {
        let today = schema::day_number("2026-06-02").unwrap();
        let full = |n| file(n, "2026-06-01", FULL_ROWS, 8 << 20);
        assert!(next_merge(&[full(0), full(1), file(2, "2026-06-01", 7, LARGE)], 2, today).is_none());
        let settled = |n| file(n, "2026-06-01", SETTLED, 2 << 20);
        assert!(next_merge(&[settled(0), settled(1), file(2, "2026-06-01", 7, 9_000)], 2, today).is_none());
        let heavy = |n| file(n, "2026-06-01", 3_072, SETTLED_BYTES);
        assert!(next_merge(&[heavy(0), heavy(1), file(2, "2026-06-01", 7, 9_000)], 2, today).is_none());
        let small: Vec<_> = (0..3).map(|n| file(n, "2026-06-02", 5, 11_000)).collect();
        assert!(next_merge(&small, 4, today).is_none());
        assert_eq!(next_merge(&small, 3, today).map(|(_, files)| files.len()), Some(3));
    }
}
