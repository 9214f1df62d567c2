//! Private keys in files: PKCS#8 in PEM, plain or encrypted with a passphrase.
//!
//! **Provided**: reading either form, writing either form, changing one into the other in place. Encrypted keys are PBES2 with
//! scrypt and AES-256-CBC (RFC 8018, RFC 7914), which `openssl pkcs8` reads and writes; what it writes with PBKDF2 is read too.
//! **Not provided**: protection against whoever reads the memory of a process that uses the key.

use std::path::Path;

use pkcs8::der::pem::{LineEnding, decode_label};
use pkcs8::der::{Decode as _, Document, SecretDocument};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use crate::passphrase::{MIN_NEW_BYTES, Passphrase};
use crate::{Error, files};

/// Labels of PEM (RFC 7468 10 and 11).
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Work of scrypt: 2^15 blocks of 1 KiB, three times. 32 MiB, so that a vehicle's computer can afford it, and some 0.3 s for each
/// guess of a core.
const SCRYPT: (u8, u32, u32) = (15, 8, 3);

/// In which form a private key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyForm {
    /// As the key that it replaces; plain if there is none.
    #[default]
    AsBefore,
    /// Encrypted with the passphrase of this process.
    Encrypted,
}

/// Reads a private key that nobody but its owner may read. An encrypted one is decrypted with the passphrase of this process;
/// what is returned is plain PEM.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = files::read_private(path)?;
    if !is_encrypted(&text) {
        return Ok(text);
    }
    let passphrase = Passphrase::of_process().map_err(|problem| locked(path, problem))?;
    decrypt(&text, passphrase).map_err(|problem| locked(path, problem))
}

/// Writes a private key, given as plain PEM: mode 0600, atomically.
pub(crate) fn write(path: &Path, pem: &str, form: KeyForm) -> Result<(), Error> {
    let encrypted = match form {
        KeyForm::Encrypted => true,
        KeyForm::AsBefore => path.exists() && is_encrypted(&files::read_private(path)?),
    };
    if !encrypted {
        return files::write_private(path, pem.as_bytes());
    }
    let passphrase = Passphrase::of_process().map_err(|problem| locked(path, problem))?;
    let text = encrypt(pem, passphrase).map_err(|problem| locked(path, problem))?;
    files::write_private(path, text.as_bytes())
}

/// Encrypts the private key in a file with the passphrase of this process, in place. `false` if it was encrypted already; then
/// the passphrase is checked.
pub fn encrypt_key_file(path: &Path) -> Result<bool, Error> {
    let was = is_encrypted(&files::read_private(path)?);
    let plain = read(path)?;
    if !was {
        write(path, &plain, KeyForm::Encrypted)?;
    }
    Ok(!was)
}

/// Writes the private key in a file without encryption, in place. `false` if it was not encrypted.
pub fn decrypt_key_file(path: &Path) -> Result<bool, Error> {
    if !is_encrypted(&files::read_private(path)?) {
        return Ok(false);
    }
    files::write_private(path, read(path)?.as_bytes())?;
    Ok(true)
}

/// Whether the private key in a file is encrypted.
pub fn is_key_file_encrypted(path: &Path) -> Result<bool, Error> {
    Ok(is_encrypted(&files::read_private(path)?))
}

fn locked(path: &Path, problem: String) -> Error {
    Error::Locked { path: path.to_path_buf(), problem }
}

fn is_encrypted(pem: &str) -> bool {
    decode_label(pem.as_bytes()) == Ok(ENCRYPTED)
}

fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<String>, String> {
    let (_, document) = Document::from_pem(pem).map_err(|error| format!("its PEM is damaged ({error})"))?;
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
        .map_err(|error| format!("it is no encrypted PKCS#8 key ({error})"))?;
    let opened = encrypted.decrypt(passphrase.as_bytes()).map_err(|error| match error {
        // A scheme that this program does not have; a wrong passphrase says nothing of the kind.
        pkcs8::Error::EncryptedPrivateKey(error) if error != pkcs8::pkcs5::Error::DecryptFailed => {
            format!("its encryption is not supported ({error})")
        }
        _ => wrong(passphrase),
    })?;
    // One wrong passphrase of 256 leaves padding that looks right.
    PrivateKeyInfoRef::from_der(opened.as_bytes()).map_err(|_| wrong(passphrase))?;
    opened.to_pem(PLAIN, LineEnding::LF).map_err(|error| error.to_string())
}

fn wrong(passphrase: &Passphrase) -> String {
    format!("the passphrase from {} does not open it", passphrase.origin)
}

fn encrypt(pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<String>, String> {
    if passphrase.as_bytes().len() < MIN_NEW_BYTES {
        return Err(format!(
            "the passphrase from {} has fewer than {MIN_NEW_BYTES} bytes; choose a longer one",
            passphrase.origin
        ));
    }
    let (_, plain) =
        SecretDocument::from_pem(pem).map_err(|error| format!("its PEM is damaged ({error})"))?;
    let key = PrivateKeyInfoRef::from_der(plain.as_bytes())
        .map_err(|error| format!("it is no PKCS#8 key ({error})"))?;
    let (log_n, r, p) = SCRYPT;
    let work = Params::new(log_n, r, p).map_err(|error| error.to_string())?;
    let (salt, iv): ([u8; 16], [u8; 16]) = (rand::random(), rand::random());
    let parameters =
        Parameters::generate_scrypt_aes256cbc(work, &salt, iv).map_err(|error| error.to_string())?;
    let sealed =
        key.encrypt_with_params(parameters, passphrase.as_bytes()).map_err(|error| error.to_string())?;
    sealed.to_pem(ENCRYPTED, LineEnding::LF).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phrase(text: &str) -> Passphrase {
        Passphrase::new(text, "a test").unwrap()
    }

    fn keys() -> [Zeroizing<String>; 2] {
        use ed25519_dalek::pkcs8::EncodePrivateKey as _;
        let signing = crate::credentials::new_signing_key().to_pkcs8_pem(LineEnding::LF).unwrap();
        [signing, Zeroizing::new(rcgen::KeyPair::generate().unwrap().serialize_pem())]
    }

    #[test]
    fn an_encrypted_key_is_read_again_and_with_no_other_passphrase() {
        let right = phrase("a passphrase of a test\n");
        for plain in keys() {
            let sealed = encrypt(&plain, &right).unwrap();
            assert!(is_encrypted(&sealed) && !is_encrypted(&plain));
            assert_ne!(sealed, encrypt(&plain, &right).unwrap(), "salt and vector are used once");
            let opened = decrypt(&sealed, &right).unwrap();
            let der = |pem: &str| SecretDocument::from_pem(pem).unwrap().1.as_bytes().to_vec();
            assert_eq!(der(&opened), der(&plain));
            let refused = decrypt(&sealed, &phrase("another passphrase")).unwrap_err();
            assert!(refused.contains("does not open it") && refused.contains("a test"), "{refused}");
        }
        let refused = encrypt(&keys()[0], &phrase("too short")).unwrap_err();
        assert!(refused.contains("fewer than 12"), "{refused}");
        assert!(Passphrase::new("\r\n", "a test").is_err());
    }

    /// `openssl pkcs8 -topk8` of the same key: once with its default (PBKDF2, HMAC-SHA-256, AES-256-CBC), once with `-scrypt`.
    #[test]
    fn keys_that_openssl_encrypted_are_read() {
        let plain = include_str!("testdata/plain.pem");
        for sealed in [include_str!("testdata/pbkdf2.pem"), include_str!("testdata/scrypt.pem")] {
            let opened = decrypt(sealed, &phrase("a passphrase of openssl")).unwrap();
            assert_eq!(opened.trim(), plain.trim());
        }
    }

    #[test]
    fn a_file_is_changed_in_place_only_with_a_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign.key");
        for plain in keys() {
            files::write_private(&path, plain.as_bytes()).unwrap();
            assert_eq!(*read(&path).unwrap(), *plain);
            assert!(!decrypt_key_file(&path).unwrap() && !is_key_file_encrypted(&path).unwrap());
            // This process has none: the key stays as it is, and the error says what to do.
            let refused = encrypt_key_file(&path).unwrap_err().to_string();
            assert!(
                refused.contains("VOLTMESH_PASSPHRASE_FILE") && refused.contains("sign.key"),
                "{refused}"
            );
            assert_eq!(*read(&path).unwrap(), *plain);
            files::write_private(&path, encrypt(&plain, &phrase("a long passphrase")).unwrap().as_bytes())
                .unwrap();
            assert!(matches!(read(&path), Err(Error::Locked { .. })));
            assert!(
                matches!(write(&path, &plain, KeyForm::AsBefore), Err(Error::Locked { .. })),
                "no downgrade"
            );
        }
    }

    proptest! {
        #[test]
        fn damaged_keys_are_refused_without_panics(text in "[ -~\n]{0,300}") {
            let pem = format!("-----BEGIN {ENCRYPTED}-----\n{text}\n-----END {ENCRYPTED}-----\n");
            prop_assert!(decrypt(&pem, &phrase("a passphrase")).is_err());
        }
    }
}
