use super::*;
use proptest::prelude::*;

fn leaves(count: usize) -> Vec<Digest> {
    (0..count).map(|i| leaf_hash(&(i as u32).to_be_bytes())).collect()
}

/// RFC 9162 2.1.1, word for word.
fn reference_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(k);
            node_hash(&reference_root(left), &reference_root(right))
        }
    }
}

/// The vectors of Certificate Transparency's own tests (google/certificate-transparency, merkle_tree_test).
#[test]
fn known_answers() {
    let inputs =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    assert_eq!(root(&[]).to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let leaves: Vec<Digest> =
        inputs.iter().map(|hex| leaf_hash(&hex::decode(hex).expect("hex in a test"))).collect();
    let mut frontier = Frontier::new();
    for (count, want) in (1..).zip(roots) {
        assert_eq!(root(&leaves[..count]).to_string(), want);
        frontier.extend(&leaves[count - 1..count]);
        assert_eq!(frontier.root().to_string(), want);
    }
}

#[test]
fn hashes_are_sha256_at_every_length() {
    for len in 0..300 {
        let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let prefixed = [&[0], data.as_slice()].concat();
        assert_eq!(leaf_hash(&data), Digest::of(&prefixed), "length {len}");
    }
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(node_hash(&a, &b), Digest::of(&[&[1], a.as_ref(), b.as_ref()].concat()));
}

#[test]
fn bulk_root_is_the_root_of_salted_leaves() {
    let batch_salt = [7; 32];
    // Groups of equal length, full and not, changes of length within one, and more leaves than are folded together.
    let lengths = (0..1300).map(|i| if i < 40 { 128 } else { 60 + i % 140 });
    let records: Vec<Vec<u8>> =
        lengths.enumerate().map(|(i, length)| (0..length).map(|at| (i * 7 + at) as u8).collect()).collect();
    let leaves: Vec<Digest> = records
        .iter()
        .zip(0u32..)
        .map(|(record, i)| {
            let pair = Digest::of(&[&batch_salt[..], &(i / 2).to_be_bytes()].concat());
            let half = 16 * (i as usize % 2);
            leaf_hash(&[&pair.as_bytes()[half..half + 16], record].concat())
        })
        .collect();
    for count in [0, 1, 100, 511, 512, 513, 1024, 1300] {
        let found = root_of_records(&batch_salt, records[..count].iter().map(Vec::as_slice));
        assert_eq!(found, reference_root(&leaves[..count]), "{count} records");
    }
}

proptest! {
    #[test]
    fn root_is_the_definition(count in 0usize..200) {
        let leaves = leaves(count);
        prop_assert_eq!(root(&leaves), reference_root(&leaves));
    }

    #[test]
    fn proofs_verify_and_nothing_else_does(count in 1usize..200, pick in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
        let leaves = leaves(count);
        let index = pick.index(count);
        let proof = prove(&leaves, index).expect("in range");
        let root = root(&leaves);
        prop_assert!(proof.verify(&leaves[index], &root));
        prop_assert_eq!(&Inclusion::decode(&proof.encode()).expect("own bytes"), &proof);

        // Size is bound only through the path's shape, so change what the root binds: index and path.
        let mut bytes = proof.encode();
        let header = bytes.len() - 34 * proof.path.len();
        if !proof.path.is_empty() {
            let flip = 8 * header + bit.index(8 * (bytes.len() - header));
            bytes[flip / 8] ^= 1 << (flip % 8);
            let changed = Inclusion::decode(&bytes);
            prop_assert!(changed.map_or(true, |changed| !changed.verify(&leaves[index], &root)));
        }
        for other in (0..count).filter(|other| *other != index) {
            let moved = Inclusion { index: other as u64, ..proof.clone() };
            prop_assert!(!moved.verify(&leaves[index], &root));
        }
    }

    #[test]
    fn frontier_is_the_tree(steps in prop::collection::vec(0usize..10, 0..12)) {
        let all = leaves(steps.iter().sum());
        let mut frontier = Frontier::new();
        let mut size = 0;
        for step in steps {
            let new = &all[size..size + step];
            let proofs = frontier.append(new);
            size += step;
            prop_assert_eq!(frontier.root(), root(&all[..size]));
            prop_assert_eq!(frontier.size(), size as u64);
            prop_assert_eq!(proofs.len(), step);
            for (proof, index) in proofs.iter().zip(size - step..) {
                prop_assert_eq!(Some(proof.clone()), prove(&all[..size], index));
            }
            prop_assert_eq!(&Frontier::decode(&frontier.encode()).expect("own bytes"), &frontier);
        }
    }
}
