//! The one binary.

fn main() -> std::process::ExitCode {
    voltmesh::main()
}
