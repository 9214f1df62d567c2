use std::path::{Path, PathBuf};

/// Errors of identities, keys and certificates; each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A role or id that is not one. Correct the text.
    #[error(
        "{text:?} is not an identity: {problem}; write urn:voltmesh:<role>:<id>, id 1 to 64 of A-Z a-z 0-9 . _ -"
    )]
    Identity {
        /// What was given, cut to 120 characters.
        text: String,
        /// Which rule it breaks.
        problem: &'static str,
    },
    /// A file or folder could not be read or written. Check that it exists and who owns it.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: read, write, lock, …
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A secret that others may read, so that it may be in their hands. Take the right away from them; if they may have used
    /// it, issue anew.
    #[error(
        "{} is a secret that others may read (mode {mode:04o}): run `chmod 600 {}`, and issue it again if they may have read it",
        path.display(), path.display()
    )]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// `issue` of an id that another role has, by a CA that gives an id to one role only, or its enrolment. Choose another id, or revoke first.
    #[error(
        "the id of {identity} is that of {other}, and an id belongs to one role: choose another id, or revoke {other} first"
    )]
    IdTaken {
        /// For whom.
        identity: String,
        /// Who has it.
        other: String,
    },
    /// A place in a token that is not one. Correct the URI (RFC 7512).
    #[error(
        "{text:?} is not the place of a key in a token: {problem}; write pkcs11:token=LABEL;object=LABEL?module-path=/PATH&pin-source=file:PATH"
    )]
    TokenUri {
        /// What was given, cut to 120 characters and without a PIN.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token that cannot be used. Check library, label and PIN.
    #[error("the token of {uri} cannot be used: {problem}")]
    Token {
        /// Which key.
        uri: String,
        /// What is wrong.
        problem: String,
    },
    /// A key in a token, for a program without tokens. Build it with them.
    #[error("this program has no PKCS #11, so that it cannot use {uri}: build it with `--features pkcs11`")]
    NoTokens {
        /// Which key.
        uri: String,
    },
    /// A file is there but holds something else. Restore it, or issue anew.
    #[error("{} is not {expected}: {problem}; restore it, or issue it again with `voltmesh pki`", path.display())]
    Content {
        /// Where.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// An encrypted key that cannot be opened or made. Give the passphrase.
    #[error("the encrypted key {} cannot be used: {problem}", path.display())]
    Locked {
        /// Where.
        path: PathBuf,
        /// What is missing or wrong, and what to do.
        problem: String,
    },
    /// A certificate signing request that is not signed for. Make another one where the key lives.
    #[error(
        "the request is not signed as {identity}: {problem}; make one with `voltmesh pki csr` where the key lives"
    )]
    Request {
        /// For whom a certificate was wanted.
        identity: String,
        /// What is wrong with the request.
        problem: String,
    },
    /// `renew` of an identity whose keys are not with the CA. Sign a new request instead.
    #[error(
        "the keys of {identity} live elsewhere: make a request there with `voltmesh pki csr`, then `voltmesh pki sign --renew`"
    )]
    KeysElsewhere {
        /// Whose.
        identity: String,
    },
    /// `init` on a folder that already holds a CA. Choose another folder: a CA is never overwritten.
    #[error("{} already holds a CA; use it, or choose an empty folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds no CA. Run `voltmesh pki init` first.
    #[error("{} holds no CA; run `voltmesh pki init` first", path.display())]
    NoCa {
        /// The folder.
        path: PathBuf,
    },
    /// `issue` for an identity that holds a certificate in force. Renew or revoke that one.
    #[error(
        "{identity} already has the certificate {serial}; `renew` it, or `issue --replace-lost` if its keys are lost"
    )]
    AlreadyIssued {
        /// For whom.
        identity: String,
        /// Which one.
        serial: String,
    },
    /// `renew` or `revoke` of something that was never issued or is revoked already. See `voltmesh pki show`.
    #[error("no certificate in force for {target}; `voltmesh pki show` lists what there is")]
    NotFound {
        /// The identity or serial number asked for.
        target: String,
    },
    /// A validity that makes no sense. Choose 1 to 3650 days.
    #[error("{days} days is not a validity; choose 1 to 3650")]
    Validity {
        /// What was asked for.
        days: u32,
    },
    /// A host that is neither a DNS name nor an IP address.
    #[error("{host:?} is neither a DNS name nor an IP address")]
    Host {
        /// What was given.
        host: String,
    },
    /// A certificate that does not say who its holder is, or says it twice.
    #[error("the peer's certificate is of no use here: {problem}; issue one with `voltmesh pki issue`")]
    Certificate {
        /// What is missing or wrong.
        problem: String,
    },
    /// The certificate library refused. A fault of the request or of this program.
    #[error("cannot make the certificate")]
    Issue(#[from] rcgen::Error),
    /// The TLS library refused the keys or certificates given.
    #[error("cannot configure TLS")]
    Tls(#[from] rustls::Error),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn content(path: &Path, expected: &'static str, problem: impl ToString) -> Error {
        Error::Content { path: path.to_path_buf(), expected, problem: problem.to_string() }
    }
}
