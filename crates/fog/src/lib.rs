//! The roadside unit: ingest, anchor, authority of the ledger.
