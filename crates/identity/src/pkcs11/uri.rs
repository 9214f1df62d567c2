//! Where a key is in a token: a PKCS #11 URI (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// Longest URI that is read, in bytes.
const MAX_BYTES: usize = 1024;

/// Place of a key in a token: `pkcs11:token=fleet;object=voltmesh-ca?module-path=/usr/lib/libexample.so&pin-source=file:pin`.
///
/// Of the attributes of RFC 7512 `token`, `serial`, `object` and `type=private` are understood in the path, `module-path` and
/// `pin-source` in the query. A PIN in the URI itself (`pin-value`) is refused: command lines and files are no place for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Label of the key.
    pub object: String,
    /// The token's library, an absolute path.
    pub module: PathBuf,
    /// File with the PIN, mode 0600; without one it is the passphrase of the process.
    pub pin_source: Option<PathBuf>,
}

impl TokenUri {
    /// Whether a text is meant as one.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().starts_with("pkcs11:")
    }
}

impl FromStr for TokenUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |problem: String| Error::TokenUri { text: text.chars().take(120).collect(), problem };
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it has more than {MAX_BYTES} bytes")));
        }
        let rest =
            text.strip_prefix("pkcs11:").ok_or_else(|| wrong("it does not begin with pkcs11:".into()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut token, mut serial, mut object, mut module, mut pin_source) = (None, None, None, None, None);
        let path = path.split(';').map(|attribute| (attribute, true));
        let query = query.split('&').map(|attribute| (attribute, false));
        for (attribute, in_path) in path.chain(query).filter(|(attribute, _)| !attribute.is_empty()) {
            let (name, value) =
                attribute.split_once('=').ok_or_else(|| wrong(format!("{attribute:?} has no value")))?;
            if name == "pin-value" {
                // Not repeated in the message.
                return Err(Error::TokenUri {
                    text: "pkcs11:…".to_owned(),
                    problem: "a PIN does not belong into a URI: give pin-source=file:PATH".to_owned(),
                });
            }
            let value = decoded(value)
                .ok_or_else(|| wrong(format!("{name} has a value that is not percent-encoded UTF-8")))?;
            let slot = match (name, in_path) {
                ("token", true) => &mut token,
                ("serial", true) => &mut serial,
                ("object", true) => &mut object,
                ("module-path", false) => &mut module,
                ("pin-source", false) => &mut pin_source,
                ("type", true) if value == "private" => continue,
                _ => return Err(wrong(format!("{attribute:?} is not understood here"))),
            };
            if slot.replace(value).is_some() {
                return Err(wrong(format!("{name} is given twice")));
            }
        }
        let module = PathBuf::from(module.ok_or_else(|| wrong("it names no module-path".into()))?);
        if !module.is_absolute() {
            return Err(wrong("module-path is not absolute".into()));
        }
        if token.is_none() && serial.is_none() {
            return Err(wrong("it names neither token nor serial".into()));
        }
        let object =
            object.filter(|label| !label.is_empty()).ok_or_else(|| wrong("it names no object".into()))?;
        let pin_source = pin_source.map(|at| PathBuf::from(at.strip_prefix("file:").unwrap_or(&at)));
        Ok(Self { token, serial, object, module, pin_source })
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        for (name, value) in [("token", &self.token), ("serial", &self.serial)] {
            if let Some(value) = value {
                write!(f, "{name}={};", encoded(value))?;
            }
        }
        write!(
            f,
            "object={}?module-path={}",
            encoded(&self.object),
            encoded(&self.module.to_string_lossy())
        )?;
        match &self.pin_source {
            Some(file) => write!(f, "&pin-source=file:{}", encoded(&file.to_string_lossy())),
            None => Ok(()),
        }
    }
}

/// RFC 7512 2.3: everything but unreserved characters and a few marks is percent-encoded.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_uri_comes_back(
            token in "[ -~é]{1,20}", object in "[ -~]{1,20}", pin in proptest::option::of("/[a-z ?&;]{1,20}"),
        ) {
            let uri = TokenUri {
                token: Some(token), serial: None, object, module: "/usr/lib/a b.so".into(), pin_source: pin.map(PathBuf::from),
            };
            prop_assert_eq!(uri.to_string().parse::<TokenUri>().expect("its own text"), uri);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_and_a_pin_is_never_repeated() {
        for (text, problem) in [
            ("token=a;object=b", "begin with pkcs11:"),
            ("pkcs11:object=b?module-path=/m.so", "neither token nor serial"),
            ("pkcs11:token=a?module-path=/m.so", "names no object"),
            ("pkcs11:token=a;object=b", "names no module-path"),
            ("pkcs11:token=a;object=b?module-path=m.so", "not absolute"),
            ("pkcs11:token=a;token=b;object=b?module-path=/m.so", "given twice"),
            ("pkcs11:token=a;object=b;slot-id=3?module-path=/m.so", "not understood"),
            ("pkcs11:token=%zz;object=b?module-path=/m.so", "percent-encoded"),
            ("pkcs11:token=a;object=b?module-path=/m.so&pin-value=1234", "does not belong"),
        ] {
            let error = text.parse::<TokenUri>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("1234"), "{error}");
        }
    }
}
