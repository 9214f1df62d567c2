//! `/chain/decree`: operators replace a committee that has stalled.
//!
//! As registry transactions do, a decree carries its own signatures: more than loopback it does not need.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use commonware_codec::DecodeExt as _;
use serde_json::json;
use voltmesh_audit::Kind;
use voltmesh_consensus::DecreeError;
use voltmesh_ledger::{Decree, Digest, MAX_AUTHORITIES, MAX_OPERATORS};

use super::shared::{Asked, refuse};
use crate::{answers::Succession, run::clock::now};

/// Longest decree: 128 keys of 32 bytes, 16 signatures with their keys of 96, and at most 256 for the rest; 6 KiB.
const MAX_DECREE_BYTES: usize = MAX_AUTHORITIES * 32 + MAX_OPERATORS * 96 + 256;

/// What operators need in order to sign a decree, and how far the one is that this node knows.
pub async fn show(State(shared): Asked) -> Json<Succession> {
    let ledger = &shared.ledger;
    let (state, peers, now) = (ledger.state(), ledger.peers(), now(&shared.context));
    let decreed = ledger.decreed().filter(|decreed| decreed.after == state.height());
    Json(Succession::new(&state, ledger.public_key(), &peers, decreed, &shared.names, now))
}

/// Takes an encoded `Decree` and gives it to all nodes.
pub async fn submit(State(shared): Asked, body: Bytes) -> Response {
    let decree = match read(body, &shared.genesis.digest()) {
        Ok(decree) => decree,
        Err((status, why)) => return refuse(status, why),
    };
    let digest = decree.digest().to_string();
    match shared.ledger.decree(decree) {
        Ok(()) => {
            shared.audit.record(Kind::Operator, "operators", &format!("decree {digest}: given to all nodes"));
            (StatusCode::ACCEPTED, Json(json!({ "decree": digest }))).into_response()
        }
        Err(error) => {
            let (status, why) = refusal(&error);
            refuse(status, why)
        }
    }
}

/// A decree of this chain, whether or not it holds.
fn read(body: Bytes, chain: &Digest) -> Result<Decree, (StatusCode, String)> {
    if body.len() > MAX_DECREE_BYTES {
        let why = format!("a decree has at most {MAX_DECREE_BYTES} bytes, this has {}", body.len());
        return Err((StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let decree = Decree::decode(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("this is no decree: {error}")))?;
    // Before it is known whether it holds, it may be passed on: at least not to the nodes of another chain.
    if decree.chain != *chain {
        let why = format!("the decree is for the chain {}, and this is {chain}", decree.chain);
        return Err((StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    Ok(decree)
}

/// 409: sign another one, after a later block. 422: it can never be.
fn refusal(error: &DecreeError) -> (StatusCode, String) {
    match error {
        DecreeError::Past(_) => (StatusCode::CONFLICT, error.to_string()),
        DecreeError::Refused(why) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}: {why}")),
        _ => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::Encode as _;
    use voltmesh_ledger::{Height, State, testing::Network};

    fn decree() -> (Network, Decree) {
        let network = Network::with_epochs(7, 5);
        let genesis = network.genesis().clone().with_committee(Some(4)).expect("3 f + 1");
        let network = network.with_genesis(genesis);
        let decree = network.decree(&State::new(network.genesis()), &[3, 4, 5, 6]);
        (network, decree)
    }

    #[test]
    fn a_decree_is_read_as_it_was_written() {
        let (network, decree) = decree();
        let read = read(decree.encode(), &network.genesis().digest()).expect("a decree");
        assert_eq!(read, decree);
        read.verify(State::new(network.genesis()).operators()).expect("signed");
    }

    #[test]
    fn what_is_no_decree_of_this_chain_is_refused() {
        let (network, decree) = decree();
        let chain = network.genesis().digest();
        let bytes = decree.encode();
        let longer = [&bytes[..], &[0]].concat();
        let other = Network::with_epochs(4, 9).genesis().digest();
        for (body, chain, status) in [
            (Bytes::new(), chain, StatusCode::BAD_REQUEST),
            (Bytes::from_static(b"not a decree"), chain, StatusCode::BAD_REQUEST),
            (Bytes::from(vec![0xff; MAX_DECREE_BYTES]), chain, StatusCode::BAD_REQUEST),
            (bytes.slice(..bytes.len() - 1), chain, StatusCode::BAD_REQUEST),
            (Bytes::from(longer), chain, StatusCode::BAD_REQUEST),
            (Bytes::from(vec![0; MAX_DECREE_BYTES + 1]), chain, StatusCode::PAYLOAD_TOO_LARGE),
            (bytes.clone(), other, StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            assert_eq!(read(body, &chain).expect_err("refused").0, status);
        }
    }

    #[test]
    fn whoever_is_late_may_sign_again() {
        let late = refusal(&DecreeError::Past(Height::new(7)));
        assert!(late.0 == StatusCode::CONFLICT && late.1.contains("height 7"), "{late:?}");
        let (network, mut decree) = decree();
        decree.nonce += 1;
        let error = State::new(network.genesis()).check_decree(&decree).expect_err("another number");
        assert_eq!(refusal(&DecreeError::Refused(error)).0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
