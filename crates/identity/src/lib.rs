//! Who is who: development CA, certificates, SAN identities, revocation, TLS configurations.
