//! Where a feed is, and which other addresses count as the same place.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::WebError;

/// An http or https address of a feed. As text it has neither query nor fragment, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Whether a text is meant as an address and not as a path.
    pub fn is_one(text: &str) -> bool {
        let begins =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        begins("http://") || begins("https://")
    }

    /// Reads and checks an address.
    ///
    /// # Errors
    /// No address of http or https, or one with a user's name or password in it.
    pub fn parse(text: &str) -> Result<Self, WebError> {
        // The text itself may hold a secret: only what is wrong is said.
        let wrong = |why: String| WebError::Address { why };
        let mut url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it is not http://host/… or https://host/…".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "it has a user or password in it; write the secret into the token file".to_owned(),
            ));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// As it is asked for.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether what is sent there is read on the way by nobody: TLS, or this very machine.
    pub fn is_private(&self) -> bool {
        self.0.scheme() == "https"
            || self.0.host_str().is_some_and(|host| {
                let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            })
    }

    /// The address that a server refers to from here: of a redirect, or of a next page. On the same host it is asked as this
    /// one is, since servers behind a proxy know neither its scheme nor its port; a redirect from http to https is followed.
    ///
    /// # Errors
    /// Another host, which neither the token nor this machine's trust is for; or no address.
    pub(super) fn refer(&self, reference: &str) -> Result<Self, WebError> {
        let foreign = |to: String| WebError::Elsewhere { from: self.to_string(), to };
        let joined =
            self.0.join(reference).map_err(|error| foreign(format!("what is no address: {error}")))?;
        let mut to =
            Self::parse(joined.as_str()).map_err(|error| foreign(format!("what is refused: {error}")))?;
        if to.0.host() != self.0.host() {
            return Err(foreign(to.to_string()));
        }
        let upgrade = self.0.scheme() == "http" && to.0.scheme() == "https";
        if !upgrade && (to.0.scheme() != self.0.scheme() || to.0.port() != self.0.port()) {
            // Both are http or https, and the host stays: neither can fail.
            let _ = (to.0.set_scheme(self.0.scheme()), to.0.set_port(self.0.port()));
        }
        Ok(to)
    }

    /// The number that a parameter of the query has.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.query_pairs().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok())
    }

    /// The same with another value of a parameter.
    pub(super) fn with(&self, name: &str, value: u64) -> Self {
        let others: Vec<(String, String)> =
            self.0.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into(), v.into())).collect();
        let mut url = self.0.clone();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, &value.to_string());
        Self(url)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths_and_show_no_secret() {
        let check = |text: &str, expected: bool| assert_eq!(Address::is_one(text), expected, "{text}");
        check("https://cpo.example/ocpi", true);
        check("HTTP://cpo.example", true);
        check("feed.csv", false);
        check("/var/https://x", false);
        check("ftp://cpo.example", false);
        let address = Address::parse("https://cpo.example/ocpi?key=secret#here").unwrap();
        assert_eq!(address.to_string(), "https://cpo.example/ocpi");
        assert!(!format!("{address:?}").contains("secret"));
        for (text, words) in [
            ("https://me:hunter2@cpo.example/", "token file"),
            ("ftp://cpo.example/", "not http"),
            ("https://", "host"),
        ] {
            let said = Address::parse(text).unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("hunter2"), "{text}: {said}");
        }
    }

    #[test]
    fn a_token_is_private_over_tls_and_on_this_machine() {
        let check = |text: &str, expected: bool| {
            assert_eq!(Address::parse(text).unwrap().is_private(), expected, "{text}")
        };
        check("https://cpo.example/", true);
        check("http://cpo.example/", false);
        check("http://localhost:8080/", true);
        check("http://127.0.0.9/", true);
        check("http://[::1]:80/", true);
        check("http://192.168.1.1/", false);
        check("http://127.0.0.1.evil.example/", false);
    }

    #[test]
    fn what_a_server_refers_to_stays_on_its_host() {
        let from = Address::parse("https://cpo.example:8443/a/b?limit=2").unwrap();
        let check = |reference: &str, expected: Option<&str>| {
            let found = from.refer(reference).ok().map(|to| to.0.to_string());
            assert_eq!(found.as_deref(), expected, "{reference}");
        };
        check("?offset=2", Some("https://cpo.example:8443/a/b?offset=2"));
        check("/c", Some("https://cpo.example:8443/c"));
        check("https://cpo.example:8443/a?offset=2", Some("https://cpo.example:8443/a?offset=2"));
        // Behind a proxy.
        check("http://cpo.example/a?offset=2", Some("https://cpo.example:8443/a?offset=2"));
        check("https://evil.example/a", None);
        check("//evil.example/a", None);
        check("https://me:x@cpo.example/a", None);
        check("file:///etc/passwd", None);
        let plain = Address::parse("http://cpo.example/a").unwrap();
        assert_eq!(plain.refer("https://cpo.example/a").unwrap().0.as_str(), "https://cpo.example/a");
    }
}
