//! The one binary.

/// Ledger and ingest allocate messages of tens of kilobytes on many threads: the system's allocator gives such memory
/// back at once and faults it in again, a tenth of the processor's time (docs/results.md, "Ledger").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    voltmesh::main()
}
