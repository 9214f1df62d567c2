//! What may stand at a file's name and is no regular file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// All kinds: whoever opens the first waits for a writer, and reading the second has no end.
pub const KINDS: [&str; 4] = ["named pipe", "link to a device", "folder", "link to itself"];

/// Puts one where a file was.
pub fn replace(kind: &str, path: &Path) {
    fs::remove_file(path).or_else(|_| fs::remove_dir(path)).unwrap();
    match kind {
        "named pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "link to a device" => symlink("/dev/zero", path).unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        _ => symlink(path, path).unwrap(),
    }
}
