"""Checks a proof of one record with pycose and hashlib alone, as docs/proof.md describes it: check.py PROOF TRUST

Prints each value that the document's example names. Left out: the finality certificate and the registry, which are not COSE
(`voltmesh verify` checks them).
"""

import hashlib
import sys
import tomllib

import cbor2
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(data):
    return sha256(b"\x00" + data)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def root_of(leaf, size, index, path):
    """RFC 9162 2.1.3.2."""
    if index >= size:
        raise ValueError("index beyond the tree")
    node, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("path too long")
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("path too short")
    return value


def signed(message, payload, key):
    message = Sign1Message.decode(message)
    message.key = OKPKey(crv=Ed25519, x=key)
    if not message.verify_signature(detached_payload=payload):
        raise ValueError("signature does not verify")


def inclusion(unprotected):
    [proof] = unprotected[396][-1]
    return cbor2.loads(proof)


def main(proof_file, trust_file):
    proof = open(proof_file, "rb").read()
    genesis = tomllib.load(open(trust_file, "rb"))["genesis"]
    authorities = {sha256(bytes.fromhex(key)): bytes.fromhex(key) for key in genesis["authorities"]}

    protected, unprotected, _, signature = cbor2.loads(proof).value
    version, record, salt, root, key, opening_salt, header, certificate, registry = unprotected["voltmesh"]

    # The record is a leaf of the batch, whose root the vehicle signed.
    leaf = leaf_hash(salt + record)
    size, index, path = inclusion(unprotected)
    if root_of(leaf, size, index, path) != root:
        raise ValueError("the path does not lead from the record to the batch's root")
    if cbor2.loads(protected)[4] != sha256(key):
        raise ValueError("the statement names another key")
    signed(proof, root, key)

    # The batch is a leaf of the log, whose root authorities signed.
    statement = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, root, signature]))
    batch = sha256(statement)
    for receipt in unprotected[394]:
        signed_header, receipt_unprotected, _, _ = cbor2.loads(receipt).value
        log_root = root_of(leaf_hash(batch), *inclusion(receipt_unprotected))
        signed(receipt, log_root, authorities[cbor2.loads(signed_header)[4]])

    print(f"record {record.hex()}")
    print(f"salt {salt.hex()}")
    print(f"leaf {leaf.hex()}")
    print(f"root {root.hex()}")
    print(f"batch {batch.hex()}")
    print(f"log leaf {leaf_hash(batch).hex()}")
    print(f"log root {log_root.hex()}")
    print(f"receipts {len(unprotected[394])}")


main(*sys.argv[1:])
