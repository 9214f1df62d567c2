use super::*;
use commonware_runtime::{
    Blob as _, Clock as _, Error, ReadOptions, Runner as _, Storage as _, Supervisor as _, WriteOptions,
};
use proptest::prelude::*;
use std::time::SystemTime;

/// One change to a file.
#[derive(Clone, Debug)]
enum Op {
    Write(u16, u8, u8),
    Resize(u16),
    Sync,
    SyncWrite(u16, u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..4000u16, any::<u8>(), 1..=255u8).prop_map(|(at, fill, len)| Op::Write(at, fill, len)),
        1 => (0..4000u16).prop_map(Op::Resize),
        1 => Just(Op::Sync),
        1 => (0..4000u16, any::<u8>(), 1..=255u8).prop_map(|(at, fill, len)| Op::SyncWrite(at, fill, len)),
    ]
}

/// The plain meaning of a file: all its states since the last full sync, and what single writes made durable.
#[derive(Default)]
struct Model {
    states: Vec<Vec<u8>>,
    pinned: BTreeMap<usize, u8>,
}

impl Model {
    fn apply(&mut self, op: &Op, file: &mut File) {
        let mut now = self.states.last().cloned().unwrap_or_default();
        match *op {
            Op::Write(at, fill, len) | Op::SyncWrite(at, fill, len) => {
                let end = at as usize + len as usize;
                if now.len() < end {
                    now.resize(end, 0);
                }
                now[at as usize..end].fill(fill);
                let upto = file.write(u64::from(at), &vec![fill; len as usize]);
                for index in at as usize..end {
                    self.pinned.remove(&index);
                }
                if matches!(op, Op::SyncWrite(..)) {
                    file.commit_range(u64::from(at), len as usize, upto);
                    self.pinned.extend((at as usize..end).map(|index| (index, fill)));
                }
                self.states.push(now);
            }
            Op::Resize(len) => {
                now.resize(len as usize, 0);
                file.resize(u64::from(len));
                self.pinned.retain(|index, _| *index < len as usize);
                self.states.push(now);
            }
            Op::Sync => {
                file.commit(file.sequence());
                self.states = vec![now];
                self.pinned.clear();
            }
        }
    }
}

fn whole(file: &File) -> Vec<u8> {
    file.read(0, file.len() as usize).unwrap().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_power_cut_leaves_what_a_disk_could_hold(ops in prop::collection::vec(op(), 1..25), seed: u64, tear in 0..4u8) {
        let mut file = File::default();
        let mut model = Model { states: vec![Vec::new()], ..Model::default() };
        for op in &ops {
            model.apply(op, &mut file);
            prop_assert_eq!(&whole(&file), model.states.last().unwrap());
        }
        let tear = [Tear::Lose, Tear::Keep, Tear::Prefix, Tear::Scatter][tear as usize];
        let mut rng = StdRng::seed_from_u64(seed);
        file.tear(tear, &mut rng);
        let after = whole(&file);
        // One of its sizes, and in each sector one of its versions.
        prop_assert!(model.states.iter().any(|state| state.len() == after.len()));
        for (index, sector) in after.chunks(SECTOR as usize).enumerate() {
            let possible = model.states.iter().any(|state| {
                (0..sector.len()).all(|i| state.get(index * SECTOR as usize + i).copied().unwrap_or(0) == sector[i])
            });
            // A synced write pins its bytes; the rest of its sector is then a mix of no single state only if cut short.
            prop_assert!(possible, "sector {} holds a version it never had", index);
        }
        // Bytes whose write was synced are there, as long as no later size cut them off.
        for (index, byte) in &model.pinned {
            prop_assert!(after.get(*index).is_none_or(|found| found == byte || ops.iter().any(|op| matches!(op, Op::Resize(_)))));
        }
        if tear == Tear::Keep {
            prop_assert_eq!(&after, model.states.last().unwrap());
        }
        // What was found is durable.
        file.tear(Tear::Scatter, &mut rng);
        prop_assert_eq!(whole(&file), after);
    }

    #[test]
    fn what_was_synced_survives(ops in prop::collection::vec(op(), 1..25), seed: u64) {
        let mut file = File::default();
        let mut model = Model { states: vec![Vec::new()], ..Model::default() };
        for op in ops.iter().chain([&Op::Sync]) {
            model.apply(op, &mut file);
        }
        let mut rng = StdRng::seed_from_u64(seed);
        file.tear(Tear::choose(&mut StdRng::seed_from_u64(seed)), &mut rng);
        prop_assert_eq!(&whole(&file), model.states.last().unwrap());
    }
}

fn run<F: Future>(f: impl FnOnce(deterministic::Context) -> F) -> F::Output {
    deterministic::Runner::seeded(7).start(f)
}

async fn read(blob: &FileBlob, len: usize) -> Vec<u8> {
    blob.read_at(0, len, ReadOptions::default()).await.unwrap().coalesce().as_ref().to_vec()
}

#[test]
fn storage_keeps_the_runtimes_contract() {
    run(|context| async move {
        let disk = Disk::new(1);
        let mount = disk.mount(context.child("disk"));
        let (blob, len) = mount.open("p", b"a").await.unwrap();
        assert_eq!(len, 0);
        blob.write_at(0, b"hello world", WriteOptions::default()).await.unwrap();
        assert_eq!(read(&blob, 11).await, b"hello world");
        assert!(matches!(mount.open("p", b"a").await, Err(Error::BlobAlreadyOpen(..))));
        assert!(matches!(
            blob.read_at(6, 6, ReadOptions::default()).await,
            Err(Error::BlobInsufficientLength)
        ));
        // Removed: the name is gone and free for another file, the handle still reads.
        mount.remove("p", Some(b"a")).await.unwrap();
        assert!(mount.scan("p").await.unwrap().is_empty());
        let (new, len) = mount.open("p", b"a").await.unwrap();
        assert_eq!((len, read(&blob, 5).await.as_slice()), (0, &b"hello"[..]));
        blob.sync().await.unwrap();
        new.start_sync().await.await.unwrap();
        drop(new);
        mount.remove("p", None).await.unwrap();
        assert!(matches!(mount.scan("p").await, Err(Error::PartitionMissing(_))));
        assert!(matches!(mount.open("p/q", b"a").await, Err(Error::PartitionNameInvalid(_))));
        let version = |v| BlobVersion::new(v);
        drop(mount.open_versioned("v", b"a", version(2)..=version(3)).await.unwrap());
        let found = mount.open_versioned("v", b"a", version(4)..=version(4)).await;
        assert!(matches!(found, Err(Error::BlobVersionMismatch { found, .. }) if found == version(3)));
    });
}

#[test]
fn a_dead_process_keeps_its_writes_and_a_power_cut_does_not() {
    for power in [false, true] {
        let survived = run(|context| async move {
            let mut survived = 0;
            for seed in 0..20 {
                let disk = Disk::new(seed);
                let mount = disk.mount(context.child("disk"));
                let (blob, _) = mount.open("p", b"a").await.unwrap();
                blob.write_at(0, b"synced", WriteOptions::default()).await.unwrap();
                blob.sync().await.unwrap();
                blob.write_at(6, vec![1; 2000], WriteOptions::default()).await.unwrap();
                if power {
                    disk.power_cut()
                } else {
                    disk.detach()
                }
                // The dead process can do nothing more.
                assert!(matches!(blob.write_at(0, b"x", WriteOptions::default()).await, Err(Error::Closed)));
                let mount = disk.mount(context.child("disk"));
                let (found, len) = mount.open("p", b"a").await.unwrap();
                drop(blob);
                assert_eq!(read(&found, 6).await, b"synced");
                survived += u32::from(len == 2006 && read(&found, 2006).await[6..] == [1; 2000]);
            }
            survived
        });
        assert!(
            if power { survived < 15 } else { survived == 20 },
            "{survived} of 20 with power cut {power}"
        );
    }
}

#[test]
fn a_full_disk_refuses_growth_and_only_that() {
    run(|context| async move {
        let disk = Disk::new(1);
        disk.set(Behaviour { capacity: 3 * FILE_OVERHEAD, ..Behaviour::default() });
        let mount = disk.mount(context.child("disk"));
        let (blob, _) = mount.open("p", b"a").await.unwrap();
        blob.write_at(0, vec![1; 5000], WriteOptions::default()).await.unwrap();
        let full = blob.write_at(5000, vec![2; 5000], WriteOptions::default()).await;
        assert!(matches!(full, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::StorageFull));
        assert!(matches!(mount.open("p", b"b").await, Err(Error::BlobOpenFailed(..))));
        assert!(matches!(blob.resize(20_000).await, Err(Error::BlobResizeFailed(..))));
        // Overwriting needs no space, and what was there is there.
        blob.write_at(0, vec![3; 5000], WriteOptions::default()).await.unwrap();
        assert_eq!(read(&blob, 5000).await, vec![3; 5000]);
        assert_eq!(disk.counters().refused_writes, 3);
        assert!(disk.used() <= 3 * FILE_OVERHEAD);
    });
}

#[test]
fn a_failed_sync_is_not_forgotten_by_the_file() {
    run(|context| async move {
        let disk = Disk::new(1);
        let mount = disk.mount(context.child("disk"));
        let (blob, _) = mount.open("p", b"a").await.unwrap();
        blob.write_at(0, vec![1; 5000], WriteOptions::default()).await.unwrap();
        disk.set(Behaviour { sync_failures_per_mille: 1000, ..Behaviour::default() });
        assert!(matches!(blob.sync().await, Err(Error::BlobSyncFailed(..))));
        disk.set(Behaviour::default());
        // It stays failed, also for later opens of the process; another file works.
        assert!(blob.start_sync().await.await.is_err());
        drop(blob);
        assert!(mount.open("p", b"a").await.is_err());
        let (other, _) = mount.open("p", b"b").await.unwrap();
        other.write_at(0, b"x", WriteOptions::SYNC).await.unwrap();
        // The next process finds what the disk really has.
        disk.detach();
        let mount = disk.mount(context.child("disk"));
        let (found, len) = mount.open("p", b"a").await.unwrap();
        assert!(len <= 5000);
        found.sync().await.unwrap();
    });
}

#[test]
fn syncs_take_their_time() {
    run(|context| async move {
        let disk = Disk::new(1);
        disk.set(Behaviour { sync_us: 400_000..=400_000, ..Behaviour::default() });
        let mount = disk.mount(context.child("disk"));
        let (blob, _) = mount.open("p", b"a").await.unwrap();
        blob.write_at(0, b"early", WriteOptions::default()).await.unwrap();
        let before: SystemTime = context.current();
        let handle = blob.start_sync().await;
        blob.write_at(512, b"late", WriteOptions::default()).await.unwrap();
        handle.await.unwrap();
        let took = context.current().duration_since(before).unwrap();
        assert!(took >= Duration::from_millis(400), "{took:?}");
        // The write during the sync is still at risk.
        assert!(blob.entry_is_dirty());
    });
}
