//! A fog node, a controller and a vehicle with everything real but the machines: what the vehicle sends is summarised for the
//! controller, and what functions are is told.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod place;

use commonware_codec::Encode as _;
use commonware_cryptography::Signer as _;
use place::{
    Ask, Place, ask,
    controller::Controller,
    peer::{PATIENCE, Peer, hello},
};
use std::time::{SystemTime, UNIX_EPOCH};
use voltmesh_control::{FunctionReport, LedgerReport, Order, Work, commitment};
use voltmesh_identity::{Identity, Reason as Revocation, Role, Target};
use voltmesh_ledger::{
    Act, ActEvidence, Action, EventProof, Policy, PolicyAct, Term, TermEvidence, Timestamp, Transaction,
    Trust, private_key, salted_digest, testing::Vehicle,
};
use voltmesh_mqtt::Reason;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(test);
}

#[test]
fn a_controller_hears_of_vehicles_and_functions() {
    run(main());
}

/// A controller that no configuration names is admitted, takes the term over its session with one fog node, and is proven what
/// the ledger has of it; orders of a lower term are refused though no other was given.
#[test]
fn the_ledger_says_who_commands() {
    run(terms());
}

async fn terms() {
    let mut place = Place::of(4).await;
    let controller = Controller::start(&place, "controller-1").await;
    place.more = format!("[controller]\naddresses = ['{}']\n", controller.address);
    place.start(0);
    place.more.clear();
    (1..4).for_each(|fog| place.start(fog));
    place.until_ready(PATIENCE).await;
    let key = private_key(controller.key.as_bytes());
    place.decide(vec![Action::AdmitController { key: key.public_key() }], PATIENCE).await;

    let trust = Trust::from_genesis(place.genesis().clone());
    let proven = |evidence: &[u8]| -> Term {
        TermEvidence::from_bytes(evidence).unwrap().verify(&trust).unwrap().clone()
    };
    let term = |what: &'static str, enough: fn(&Term) -> bool| {
        controller.until(what, move |heard| {
            let mut terms = heard.ledger.iter().filter_map(|report| match report {
                LedgerReport::Term(evidence) => Some(proven(evidence)),
                _ => None,
            });
            terms.find(enough)
        })
    };
    let first = term("term", |_| true).await;
    assert_eq!((first.term, first.holder), (0, None));

    let act = |place: (u32, u64), chain, act| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let [expires, until] = [now + 60_000, now + 10_000].map(Timestamp::from_millis);
        Transaction::Policy(Policy::sign(&chain, &key, place, expires, until, act)).encode().to_vec()
    };
    let chain = place.genesis().digest();
    controller.send("fog-0", "policy", b"rubbish".to_vec());
    controller.send("fog-0", "policy", act((1, 0), chain, PolicyAct::TakeTerm));
    let taken = term("term 1", |term| term.term == 1).await;
    assert_eq!(taken.holder, Some(key.public_key()));

    // No order was given yet.
    let (vehicle, function) = ("car".parse().unwrap(), "guard".to_owned());
    let order = Order { number: 1, term: 0, work: Work::End { vehicle, function, hand_over: false } };
    controller.order("fog-0", &order);
    controller
        .until("refusal", |heard| {
            heard.reports.iter().find_map(|report| match report {
                FunctionReport::Refused { order: 1, reason } => reason.contains("of term 0").then_some(()),
                _ => None,
            })
        })
        .await;

    // A term that the ledger has not given is nobody's: it ends no other, and its orders wait for it.
    let answered = |number| {
        controller.until("refusal", move |heard| {
            heard.reports.iter().find_map(|report| match report {
                FunctionReport::Refused { order, reason } if *order == number => Some(reason.clone()),
                _ => None,
            })
        })
    };
    controller.order("fog-0", &Order { number: 2, term: 2, ..order.clone() });
    controller.order("fog-0", &Order { number: 3, term: u32::MAX, ..order.clone() });
    controller.order("fog-0", &Order { number: 4, term: 1, ..order.clone() });
    let why = answered(4).await;
    assert!(!why.contains("of term"), "{why}");
    place
        .until_status(0, PATIENCE, |status| {
            status.counter("controller_term") == 1 && status.counter("functions_orders_early") == 2
        })
        .await;

    let (salt, said) = ([7; 16], &b"what was decided"[..]);
    let decision = salted_digest(&salt, said);
    controller.send("fog-0", "policy", act((1, 4), chain, PolicyAct::Decide { decision }));
    let evidence = controller.until("decision", |heard| {
        heard.ledger.iter().find_map(|report| match report {
            LedgerReport::Act(evidence) => Some(ActEvidence::from_bytes(evidence).unwrap()),
            _ => None,
        })
    });
    let evidence = evidence.await;
    let expected = Act::Decision { controller: key.public_key(), term: 1, number: 4, decision };
    assert_eq!(evidence.act, expected);
    let proof = EventProof::of_decision(salt, said.into(), evidence);
    assert_eq!(proof.verify(&trust).unwrap().digest, decision);
    term("next number", |term| term.next == 5).await;

    controller.send("fog-0", "policy", act((2, 0), chain, PolicyAct::TakeTerm));
    let why = answered(2).await;
    assert!(!why.contains("of term"), "{why}");
    place.until_status(0, PATIENCE, |status| status.counter("controller_term") == 2).await;
    place.stop(0).await;
}

async fn main() {
    let mut place = Place::of(4).await;
    let (active, standby) =
        (Controller::start(&place, "controller-1").await, Controller::start(&place, "controller-2").await);
    let hex = |key: &ed25519_dalek::SigningKey| hex::encode(key.verifying_key().as_bytes());
    place.more = format!(
        "[controller]\naddresses = ['{}', '{}']\nkeys = ['{}', '{}']\n",
        active.address,
        standby.address,
        hex(&active.key),
        hex(&standby.key)
    );
    place.start(0);
    // The others only vote.
    place.more.clear();
    (1..4).for_each(|fog| place.start(fog));
    place.until_ready(PATIENCE).await;
    let car = Vehicle::new("car");
    let mut commitments = vec![car.commitment()];
    commitments.extend(place.openings().iter().map(|(fog, opening)| commitment(fog, opening)));
    place.enrol(&commitments, PATIENCE).await;

    // Each session begins with who the node is and what runs there.
    for controller in [&active, &standby] {
        let first = controller
            .until("first reports", |heard| (heard.reports.len() >= 2).then(|| heard.reports[..2].to_vec()));
        let key = hex::encode(place.fog_key(0).as_bytes());
        let expected =
            [FunctionReport::Ready { key, term: 0 }, FunctionReport::Running { instances: Vec::new() }];
        assert_eq!(first.await, expected);
    }

    // What a vehicle sends is a summary within a second or so, at both.
    let mut vehicle = Peer::new(place.connect(Role::Edge, "car", 0, &["receipt"]).await);
    assert_eq!(vehicle.publish("v1/car/hello", hello(&car), 1).await, Reason::SUCCESS);
    let batch = car.batch(1, 0, 100, None);
    assert_eq!(vehicle.publish("v1/car/batch", batch.wire().clone(), 2).await, Reason::SUCCESS);
    let last_s = batch.open().unwrap().pop().unwrap().sample.time.as_millis() as f64 / 1_000.0;
    for controller in [&active, &standby] {
        // The last second is over once nothing has come for a second.
        let told = controller.until("summary", |heard| {
            let mut vehicles = heard.summaries.iter().flat_map(|summaries| &summaries.vehicles);
            vehicles
                .rfind(|one| one.summary.as_ref().is_some_and(|summary| summary.time_s == last_s))
                .cloned()
        });
        let told = told.await;
        assert!(told.vehicle.as_str() == "car" && told.connected, "{told:?}");
        assert!(told.summary.unwrap().quality.samples > 0);
    }
    // The round trip is measured by what the vehicle is sent anyway.
    vehicle.until("receipt", |peer| peer.message("v1/car/receipt").is_some()).await;
    active
        .until("round trip", |heard| {
            let newest = heard.summaries.last()?.vehicles.first()?;
            newest.round_trip_us.filter(|us| *us > 0)
        })
        .await;

    // Rubbish is counted; an order that cannot be carried out changes nothing; the higher term is followed.
    active.send("fog-0", "order", b"{}".to_vec());
    let order = |term| {
        let (vehicle, function) = ("car".parse().unwrap(), "guard".to_owned());
        Order { number: 1, term, work: Work::End { vehicle, function, hand_over: false } }
    };
    standby.order("fog-0", &order(7));
    active.order("fog-0", &order(3));
    place
        .until_status(0, PATIENCE, |status| {
            status.counter("functions_orders_malformed") == 1 && status.counter("controller_term") == 7
        })
        .await;
    let (code, body) = ask(place.http(0), Ask::Get("/functions")).await;
    let functions: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &functions["functions"]), (200, &serde_json::json!([])), "{body}");
    let (code, events) = ask(place.http(0), Ask::Get("/events?from=0")).await;
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    assert_eq!((code, &events["events"]), (200, &serde_json::json!([])), "{events}");
    for path in ["/events?from=x", "/events?limit=0", "/events?colour=1"] {
        assert_eq!(ask(place.http(0), Ask::Get(path)).await.0, 400, "{path}");
    }

    // A revoked controller is not followed any more.
    let identity = Identity::new(Role::Controller, "controller-2").unwrap();
    place.pki.revoke(&Target::Identity(identity), Revocation::KeyCompromise).unwrap();
    place.until_status(0, PATIENCE, |status| status.counter("controllers_connected") == 1).await;
    place.stop(0).await;
}
