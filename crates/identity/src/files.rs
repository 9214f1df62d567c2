use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::Error;

/// Largest secret that is read: an RSA key of 16,384 bits in PEM has some 13 kB.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Writes a secret: mode 0600 from the first byte, fsynced, then renamed over `path`, so that no reader ever sees a
/// part of it or another mode.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomic(path, bytes, 0o600)
}

/// Writes what all may read, just as atomically: mode 0644.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomic(path, bytes, 0o644)
}

/// Reads a private key or another secret that nobody but its owner may read: a file that its group or everybody may read,
/// write or run is refused, since what it held may be in other hands.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_secret(path, Err)
}

/// Reads a token of an HTTP interface. One that others than its owner may read is only warned of: a proxy or a monitor of
/// the same group often has to read it, and nothing is signed with it.
pub fn read_token(path: &Path) -> Result<Zeroizing<String>, Error> {
    read_secret(path, |exposed| {
        tracing::warn!("{exposed}");
        Ok(())
    })
}

fn read_secret(
    path: &Path,
    exposed: impl FnOnce(Error) -> Result<(), Error>,
) -> Result<Zeroizing<String>, Error> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    // Of the open file, not of the name: the two may not be the same file any more.
    let found = file.metadata().map_err(Error::file("read", path))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        exposed(Error::Exposed { path: path.to_path_buf(), mode })?;
    }
    let refuse = |problem: String| Error::content(path, "a secret in a text file", problem);
    if found.len() > MAX_SECRET_BYTES {
        return Err(refuse(format!("{} bytes, {MAX_SECRET_BYTES} at most", found.len())));
    }
    // As large as the file: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse("it is no text".to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Makes a folder, and its parents, that only its owner may enter: mode 0700.
pub fn create_private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("create", path))?;
    let mode = fs::metadata(path).map_err(Error::file("look at", path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // It existed with another mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(Error::file("protect", path))
}

/// Puts a file that is durable in the place of another, in one folder.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::file("rename", from))?;
    File::open(folder_of(to)).and_then(|folder| folder.sync_all()).map_err(Error::file("write", to))
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A bare file name has the parent "", which is no folder that can be opened.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::file("read", path))
}

/// Reads a file that is watched while sessions wait, of at most so many bytes: one that is no regular file, such as a named pipe,
/// could be waited for without end.
pub(crate) fn read_regular(path: &Path, expected: &'static str, most: u64) -> Result<Vec<u8>, Error> {
    check_regular(path, expected)?;
    let file = File::open(path).map_err(Error::file("read", path))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    if bytes.len() as u64 > most {
        return Err(Error::content(path, expected, format!("more than {most} bytes")));
    }
    Ok(bytes)
}

/// Refuses what is no regular file: before it is opened, since that alone may wait.
pub(crate) fn check_regular(path: &Path, expected: &'static str) -> Result<(), Error> {
    match fs::metadata(path).map_err(Error::file("read", path))?.is_file() {
        true => Ok(()),
        false => Err(Error::content(path, expected, "it is no regular file")),
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}

/// Tells one version of a file from another; files are replaced by rename, so the inode and its times differ.
#[derive(PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

/// None if there is no such file. Taken before the file is read, so that a change in between is seen the next time.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: found.ino(),
        size: found.size(),
        changed: (found.ctime(), found.ctime_nsec()),
        modified: (found.mtime(), found.mtime_nsec()),
    })
}

fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("sign.key");
        write_private(&key, b"secret").unwrap();
        for mode in 0..0o1000_u32 {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode | 0o400)).unwrap();
            let read = read_private(&key);
            assert_eq!(read.is_ok(), mode & 0o077 == 0, "mode {mode:03o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod 600"), "{error}");
                assert!(error.to_string().contains("sign.key"), "{error}");
            }
        }
        fs::write(&key, vec![b'a'; MAX_SECRET_BYTES as usize + 1]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_private(&key).unwrap_err().to_string().contains("at most"));
        assert!(matches!(read_private(&folder.path().join("absent")), Err(Error::File { .. })));
        fs::write(&key, "0123456789abcdef").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(*read_token(&key).unwrap(), "0123456789abcdef");
    }

    #[test]
    fn modes_and_replacement() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_private_dir(&inner).unwrap();
        let key = inner.join("key");
        write_public(&key, b"one").unwrap();
        write_private(&key, b"two").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&key)), (0o700, 0o600));
        assert_eq!(fs::read(&key).unwrap(), b"two");
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "a temporary file stayed");
    }
}
