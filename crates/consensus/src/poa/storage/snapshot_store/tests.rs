//! Laws of files that are written whole.

use super::*;
use commonware_runtime::deterministic::{self, FaultConfig, PartialWriteMode, WriteConfig};
use commonware_runtime::{Runner as _, Supervisor as _};
use commonware_utils::probability;

/// Writes file 17 over `older` on a disk that may refuse to sync, cuts the power, which keeps any bytes of what was not
/// synced, and reads it after the restart.
fn write_in_a_power_cut(seed: u64, older: bool) -> (bool, Result<Bytes, Unreadable>) {
    let config = deterministic::Config::new().with_seed(seed);
    let (written, disk) = deterministic::Runner::new(config).start_and_recover(|context| async move {
        let vault = SnapshotStore::new(context.child("vault"), "node");
        let partition = vault.handovers();
        if older {
            vault.write(&partition, 17, &[7; 300]).await.expect("the disk is well");
        }
        *context.storage_fault_config().write() =
            FaultConfig::default().sync(probability!(0.5)).write(WriteConfig {
                failure_rate: probability!(0.0),
                // Most bytes, so that the file's beginning is often whole where its middle is not.
                retention_rate: probability!(0.98),
                mode: PartialWriteMode::Subset,
            });
        vault.write(&partition, 17, &[9; 200]).await.is_ok()
    });
    let read = deterministic::Runner::from(disk).start(|context| async move {
        *context.storage_fault_config().write() = FaultConfig::default();
        let vault = SnapshotStore::new(context.child("vault"), "node");
        vault.read(&vault.handovers(), 17, 1024).await
    });
    (written, read)
}

#[test]
fn a_power_cut_leaves_a_whole_file_or_a_begun_one() {
    let (mut whole, mut begun) = (0, 0);
    for seed in 0..400 {
        let (written, read) = write_in_a_power_cut(seed, seed % 2 == 1);
        match read {
            Ok(content) if content == [9; 200].as_slice() => whole += 1,
            // What was there before may stay only if the write was not reported as done.
            Ok(content) => assert!(!written && content == [7; 300].as_slice(), "seed {seed}"),
            Err(Unreadable::Incomplete) => {
                assert!(!written, "seed {seed}: written, and gone");
                begun += 1;
            }
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
    }
    assert!(whole > 20 && begun > 20, "{whole} whole, {begun} begun");
}

/// Reads file 17 after `change` was made to its bytes.
fn read_after(change: impl FnOnce(&mut Vec<u8>) + Send + 'static) -> Result<Bytes, Unreadable> {
    deterministic::Runner::default().start(|context| async move {
        let vault = SnapshotStore::new(context.child("vault"), "node");
        let partition = vault.handovers();
        vault.write(&partition, 17, b"an older and longer content").await.expect("written");
        vault.write(&partition, 17, b"content").await.expect("written again");
        let (blob, size) = context.open(&partition, &name(17)).await.expect("opened");
        let bytes = blob.read_at(0, size as usize, ReadOptions::default()).await.expect("read");
        let mut bytes = bytes.coalesce().as_ref().to_vec();
        change(&mut bytes);
        blob.resize(0).await.expect("emptied");
        blob.write_at(0, bytes, WriteOptions::default()).await.expect("written by hand");
        blob.sync().await.expect("durable");
        drop(blob); // a file is opened once at a time
        vault.read(&partition, 17, 1024).await
    })
}

#[test]
fn a_file_is_whole_or_begun_or_damaged() {
    assert_eq!(read_after(|_| ()).expect("whole").as_ref(), b"content");
    // Some bytes of the last write are not on the disk, and any of those before it may be torn.
    for missing in [&[0usize] as &[usize], &[7], &[1, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        let torn = read_after(move |bytes| {
            missing.iter().for_each(|index| bytes[*index] = 0);
            bytes[20] ^= 1;
        });
        assert!(matches!(torn, Err(Unreadable::Incomplete)), "{missing:?}: {torn:?}");
    }
    for flipped in [0, 20, 30] {
        let damaged = read_after(move |bytes| bytes[flipped] ^= 0x20);
        assert!(matches!(damaged, Err(Unreadable::Damaged(_))), "byte {flipped}: {damaged:?}");
    }
}
