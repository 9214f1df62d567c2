//! Mutated texts and bodies from outside: configurations, files of a chain, bodies of requests, audit logs. Refused or read, never
//! a panic, and each within a bound of time.
//!
//! `FUZZ_SECONDS=60 FUZZ_SEED=7 cargo test -p voltmesh --lib fuzz_` runs longer or repeats a failure.

use std::path::Path;
use std::time::{Duration, Instant};

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use voltmesh_audit::{Kind, Recorder};
use voltmesh_ledger::{Action, Decree, Genesis, RegistryTx, Transaction, Trust, testing::Network};
use voltmesh_testing::setting;

/// No input of some kilobytes may take longer, even unoptimized on a busy machine.
const SLOWEST: Duration = Duration::from_secs(10);

/// Mutates seeds and tries each, for `FUZZ_SECONDS`; returns how many were tried and taken.
fn fuzz(seeds: &[Vec<u8>], try_one: impl Fn(&[u8]) -> bool) -> (u64, u64) {
    let seed = setting("FUZZ_SEED", 1);
    let until = Instant::now() + Duration::from_secs(setting("FUZZ_SECONDS", 1));
    let mut random = StdRng::seed_from_u64(seed);
    let (mut tried, mut taken) = (0, 0);
    while Instant::now() < until {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        let other = &seeds[random.random_range(0..seeds.len())];
        for _ in 0..random.random_range(1..6) {
            mutate(&mut random, &mut bytes, other);
        }
        let begun = Instant::now();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| try_one(&bytes)));
        let Ok(good) = caught else {
            panic!("round {tried} of FUZZ_SEED={seed} panics: {:?}", String::from_utf8_lossy(&bytes))
        };
        assert!(begun.elapsed() < SLOWEST, "round {tried} of FUZZ_SEED={seed} took {:?}", begun.elapsed());
        (tried, taken) = (tried + 1, taken + u64::from(good));
    }
    (tried, taken)
}

fn mutate(random: &mut StdRng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = b"[]{}=\"'#.,-_0 9\n"[random.random_range(0..16)],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.random()),
        4 if at < bytes.len() => drop(bytes.remove(at)),
        5 if !other.is_empty() => {
            let from = random.random_range(0..other.len());
            let piece = &other[from..(from + random.random_range(0..64)).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        // A number that is larger, smaller or longer than what stands there.
        _ => {
            let number = ["-1", "1e309", "18446744073709551616", "0x7f", "nan", "\u{0}"];
            bytes.splice(at..at, number[random.random_range(0..6)].bytes());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn fuzz_configurations() {
    let base = Path::new("/nowhere");
    let roles =
        [voltmesh_edge::config::DEFAULTS, voltmesh_fog::config::DEFAULTS, voltmesh_cloud::config::DEFAULTS];
    // What is commented out is a key as well.
    let open = roles.map(|text| {
        let open = |line: &str| line.strip_prefix("# ").unwrap_or(line).to_owned();
        text.lines().map(open).collect::<Vec<_>>().join("\n")
    });
    let seeds: Vec<Vec<u8>> =
        roles.iter().map(|text| text.as_bytes().to_vec()).chain(open.map(String::into_bytes)).collect();
    let (tried, _) = fuzz(&seeds, |bytes| {
        let text = text(bytes);
        let taken = [
            voltmesh_edge::Config::parse(&text, base).is_ok(),
            voltmesh_fog::Config::parse(&text, base).is_ok(),
            voltmesh_cloud::Config::parse(&text).is_ok(),
        ];
        taken.contains(&true)
    });
    assert!(tried > 10, "only {tried} rounds");
}

#[test]
fn fuzz_http_bodies() {
    let network = Network::new(4);
    let chain = network.genesis().digest();
    let key = network.authority(0);
    let batch = voltmesh_telemetry::BatchId::from([4; 32]);
    let commitment = voltmesh_telemetry::Digest::new([5; 32]);
    let operators = Action::SetOperators { keys: vec![network.operator(0).public_key()], threshold: 1 };
    use commonware_cryptography::Signer as _;
    let registry = RegistryTx::new(chain, 0, vec![Action::EnrolVehicle { commitment }, operators]);
    let seeds = vec![
        Transaction::Anchor(voltmesh_ledger::Anchor::sign(&chain, key, 1, 60, vec![batch])).encode().to_vec(),
        Transaction::Registry(registry.sign(network.operator(0))).encode().to_vec(),
    ];
    let state = voltmesh_ledger::State::new(network.genesis());
    let (tried, _) = fuzz(&seeds, |bytes| {
        let decree = Decree::decode(Copying(bytes)).is_ok_and(|decree| state.check_decree(&decree).is_ok());
        assert!(!decree, "a decree that nobody signed");
        let Ok(transaction) = Transaction::decode(Copying(bytes)) else { return false };
        let _ = state.check(&transaction);
        assert_eq!(transaction.encode().to_vec(), bytes, "one form for each transaction");
        true
    });
    assert!(tried > 10, "only {tried} rounds");
}

#[test]
fn fuzz_files_of_a_chain() {
    let genesis = Network::new(4).genesis().clone();
    let seeds = [genesis.to_toml().into_bytes(), Trust::from_genesis(genesis.clone()).to_toml().into_bytes()];
    let (tried, _) = fuzz(&seeds, |bytes| {
        let text = text(bytes);
        let read = Genesis::from_toml(&text);
        if let Ok(read) = &read {
            assert_eq!(
                Genesis::from_toml(&read.to_toml()).map(|again| again.digest()).ok(),
                Some(read.digest())
            );
        }
        read.is_ok() | Trust::from_toml(&text).is_ok()
    });
    assert!(tried > 10, "only {tried} rounds");
}

#[test]
fn fuzz_audit_logs() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::open(folder.path()).expect("a log");
    (0..20).for_each(|n| recorder.record(Kind::Operator, "somebody", &format!("did {n}")));
    recorder.close();
    let file = folder.path().join("audit-00000000000000000000.jsonl");
    let good = std::fs::read(&file).expect("the log");
    let count = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        voltmesh_audit::read(folder.path(), |_| {}).map(|report| (report.entries, report.problem_count))
    };
    let whole = count(&good).expect("readable").0;
    let (tried, _) = fuzz(std::slice::from_ref(&good), |bytes| match count(bytes) {
        Ok((entries, 0)) => {
            assert!(entries <= whole, "entries that were never made");
            true
        }
        _ => false,
    });
    assert!(tried > 10, "only {tried} rounds");
}
