//! Databrokers on loopback: one of our own made from the messages, and one made from the project's published stubs for Python.

use crate::sources::{KuksaConfig, LiveKuksa, Next, Source};
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Request, Response, Status};
use voltmesh_telemetry::{Charger, Contactor, Sample, Unknown};

const PACK: &str = "Vehicle.Powertrain.TractionBattery";
const PATIENCE: Duration = Duration::from_secs(60);

fn config(port: u16, more: &str) -> KuksaConfig {
    toml::from_str(&format!("address = \"http://127.0.0.1:{port}\"\nperiod_ms = 100\n{more}"))
        .expect("a configuration")
}

/// The first sample that is so.
fn wait(source: &mut LiveKuksa, wanted: impl Fn(&Sample) -> bool) -> Sample {
    let started = Instant::now();
    let mut last = None;
    while started.elapsed() < PATIENCE {
        if let Next::Sample(sampled) = source.poll().expect("a live source goes on") {
            if wanted(&sampled.sample) {
                return sampled.sample;
            }
            last = Some(sampled.sample);
        }
    }
    panic!("no such sample in {PATIENCE:?}; the last was {last:?}; {:?}", source.said());
}

fn complete(sample: &Sample) -> bool {
    sample.pack_voltage.cause().is_none()
        && sample.pack_current.cause().is_none()
        && !sample.cells.is_empty()
        && sample.charger != Charger::Unknown
}

fn check(sample: &Sample) {
    assert_eq!((sample.pack_voltage.get(), sample.pack_current.get()), (352_100, -12_500));
    assert_eq!(sample.cells.iter().map(|cell| cell.get()).collect::<Vec<_>>(), [3_712, 3_700]);
    assert_eq!(sample.soc.cause(), Some(Unknown::OutOfRange), "above the maximum of the metadata");
    assert_eq!(sample.temperatures.iter().map(|value| value.get()).collect::<Vec<_>>(), [2_150]);
    assert_eq!((sample.contactor, sample.charger), (Contactor::Closed, Charger::Charging));
    assert_eq!(sample.ambient.cause(), Some(Unknown::NotSent), "the broker does not know it");
}

mod own {
    use super::*;
    use crate::sources::kuksa::messages::*;
    use std::collections::HashMap;
    use std::pin::Pin;

    /// A databroker that wants a token and says the same values each 50 ms.
    #[derive(Clone)]
    pub struct Broker;

    use tonic::codegen::tokio_stream::{Stream, wrappers::ReceiverStream};

    type Values = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    fn allowed<T>(request: &Request<T>) -> Result<(), Status> {
        match request.metadata().get("authorization").map(|token| token.as_bytes()) {
            Some(b"Bearer of.a.test") => Ok(()),
            _ => Err(Status::unauthenticated("wants a token")),
        }
    }

    fn signals() -> Vec<(&'static str, &'static str, Typed)> {
        vec![
            ("CurrentVoltage", "mV", Typed::Uint32(352_100)),
            ("CurrentCurrent", "A", Typed::Float(-12.5)),
            ("CellVoltage.CellVoltages", "V", Typed::Floats(Floats { values: vec![3.712, 3.7] })),
            ("StateOfCharge.Current", "percent", Typed::Float(101.0)),
            ("Temperature.Average", "celsius", Typed::Float(21.5)),
            ("IsPowerConnected", "", Typed::Bool(true)),
            ("Charging.IsCharging", "", Typed::Bool(true)),
        ]
    }

    struct Metadatas;
    impl tonic::server::UnaryService<ListMetadataRequest> for Metadatas {
        type Response = ListMetadataResponse;
        type Future = BoxFuture<Response<ListMetadataResponse>, Status>;

        fn call(&mut self, request: Request<ListMetadataRequest>) -> Self::Future {
            Box::pin(async move {
                allowed(&request)?;
                let root = request.into_inner().root;
                let found = signals().into_iter().find(|(path, ..)| format!("{PACK}.{path}") == root);
                let Some((_, unit, _)) = found else { return Err(Status::not_found("no such signal")) };
                let max = unit.contains("percent").then_some(Value { typed: Some(Typed::Double(100.0)) });
                let metadata = vec![Metadata { path: root, unit: unit.into(), min: None, max }];
                Ok(Response::new(ListMetadataResponse { metadata }))
            })
        }
    }

    struct Subscription;
    impl tonic::server::ServerStreamingService<SubscribeRequest> for Subscription {
        type Response = SubscribeResponse;
        type ResponseStream = Values;
        type Future = BoxFuture<Response<Values>, Status>;

        fn call(&mut self, request: Request<SubscribeRequest>) -> Self::Future {
            Box::pin(async move {
                allowed(&request)?;
                let paths = request.into_inner().signal_paths;
                let (send, receive) = tokio::sync::mpsc::channel(4);
                tokio::spawn(async move {
                    loop {
                        let now = crate::sources::period::now_ms();
                        let timestamp = Some(Timestamp {
                            seconds: (now / 1_000) as i64,
                            nanos: (now % 1_000 * 1_000_000) as i32,
                        });
                        let point =
                            |typed| Datapoint { timestamp, value: Some(Value { typed: Some(typed) }) };
                        let all = signals()
                            .into_iter()
                            .map(|(path, _, typed)| (format!("{PACK}.{path}"), point(typed)));
                        let entries: HashMap<_, _> = all.filter(|(path, _)| paths.contains(path)).collect();
                        if send.send(Ok(SubscribeResponse { entries })).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                });
                let values: Values = Box::pin(ReceiverStream::new(receive));
                Ok(Response::new(values))
            })
        }
    }

    impl tonic::server::NamedService for Broker {
        const NAME: &'static str = SERVICE;
    }

    impl Service<http::Request<tonic::body::Body>> for Broker {
        type Response = http::Response<tonic::body::Body>;
        type Error = Infallible;
        type Future = BoxFuture<Self::Response, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
            Box::pin(async move {
                if request.uri().path().ends_with("/ListMetadata") {
                    let codec: tonic_prost::ProstCodec<ListMetadataResponse, ListMetadataRequest> =
                        Default::default();
                    Ok(tonic::server::Grpc::new(codec).unary(Metadatas, request).await)
                } else {
                    let codec: tonic_prost::ProstCodec<SubscribeResponse, SubscribeRequest> =
                        Default::default();
                    Ok(tonic::server::Grpc::new(codec).server_streaming(Subscription, request).await)
                }
            })
        }
    }

    /// A broker that runs until its runtime is dropped.
    pub fn start(listener: std::net::TcpListener) -> tokio::runtime::Runtime {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        listener.set_nonblocking(true).expect("a socket");
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        runtime.spawn(tonic::transport::Server::builder().add_service(Broker).serve_with_incoming(incoming));
        drop(_inside);
        runtime
    }
}

#[test]
fn a_databroker_is_read_and_found_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "of.a.test\n").expect("a file");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let again = listener.try_clone().expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let broker = own::start(listener);
    let mut source = LiveKuksa::open(config(port, &format!("token_file = {token:?}"))).expect("a source");
    check(&wait(&mut source, complete));
    let said = source.said().join("\n");
    assert!(said.contains("not in the databroker: ") && said.contains("Vehicle.Speed"), "{said}");

    broker.shutdown_background();
    let silent = Instant::now();
    // Nothing new makes no samples.
    let mut quiet = 0;
    while quiet < 5 && silent.elapsed() < PATIENCE {
        quiet = if matches!(source.poll(), Ok(Next::Nothing)) { quiet + 1 } else { 0 };
    }
    let done = source.said();
    let broker = own::start(again);
    check(&wait(&mut source, complete));
    assert_ne!(done, source.said());
    broker.shutdown_background();
}

#[test]
fn without_its_token_there_are_no_samples() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let broker = own::start(listener);
    let mut source = LiveKuksa::open(config(port, "")).expect("a source");
    for _ in 0..10 {
        assert_eq!(source.poll().expect("it goes on"), Next::Nothing);
    }
    broker.shutdown_background();
}

#[test]
fn a_databroker_of_the_projects_stubs_is_read() {
    const BROKER: &str = r#"
import sys, time, grpc
from concurrent import futures
from google.protobuf.timestamp_pb2 import Timestamp
from kuksa.val.v2 import types_pb2 as t, val_pb2 as v, val_pb2_grpc
P = 'Vehicle.Powertrain.TractionBattery.'
S = {P + 'CurrentVoltage': ('mV', t.Value(uint32=352100)), P + 'CurrentCurrent': ('A', t.Value(float=-12.5)),
     P + 'CellVoltage.CellVoltages': ('V', t.Value(float_array=t.FloatArray(values=[3.712, 3.7]))),
     P + 'StateOfCharge.Current': ('percent', t.Value(float=101)), P + 'Temperature.Average': ('celsius', t.Value(double=21.5)),
     P + 'IsPowerConnected': ('', t.Value(bool=True)), P + 'Charging.IsCharging': ('', t.Value(bool=True))}
class Broker(val_pb2_grpc.VALServicer):
    def ListMetadata(self, request, context):
        if request.root not in S:
            context.abort(grpc.StatusCode.NOT_FOUND, 'no such signal')
        unit = S[request.root][0]
        most = t.Value(double=100) if unit == 'percent' else None
        return v.ListMetadataResponse(metadata=[t.Metadata(path=request.root, unit=unit, max=most, data_type=t.DATA_TYPE_FLOAT, id=7)])
    def Subscribe(self, request, context):
        while context.is_active():
            now = Timestamp()
            now.GetCurrentTime()
            yield v.SubscribeResponse(entries={p: t.Datapoint(timestamp=now, value=S[p][1]) for p in request.signal_paths})
            time.sleep(0.05)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
val_pb2_grpc.add_VALServicer_to_server(Broker(), server)
port = server.add_insecure_port('127.0.0.1:0')
server.start()
print(port, flush=True)
sys.stdin.read()
"#;
    let has = Command::new("python3").args(["-c", "import grpc, kuksa.val.v2.val_pb2_grpc"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        let mut out = std::io::stderr();
        let _ = writeln!(out, "skipped: kuksa-client for Python is not installed");
        return;
    }
    let mut broker = Command::new("python3")
        .args(["-c", BROKER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut port = String::new();
    BufReader::new(broker.stdout.take().expect("its output")).read_line(&mut port).expect("its port");
    let mut source = LiveKuksa::open(config(port.trim().parse().expect("a port"), "")).expect("a source");
    check(&wait(&mut source, complete));
    broker.kill().expect("its end");
    broker.wait().expect("its end");
}

#[test]
fn configurations() {
    let check = |text: &str| {
        toml::from_str::<KuksaConfig>(text)
            .map_err(|e| e.to_string())
            .and_then(|c| c.check().map_err(|e| e.to_string()))
    };
    assert_eq!(check("address = \"http://localhost:55555\""), Ok(()));
    assert_eq!(check("address = \"https://localhost:55555\"\nca = \"ca.pem\""), Ok(()));
    for (text, why) in [
        ("address = \"localhost:55555\"", "source.address"),
        ("address = \"https://localhost:55555\"", "source.ca"),
        ("address = \"http://localhost:55555\"\nca = \"ca.pem\"", "source.ca"),
        ("address = \"http://localhost:55555\"\nmax_age_ms = 5", "max_age_ms"),
        ("address = \"http://localhost:55555\"\nperiod_ms = 5", "period_ms"),
        ("address = \"http://localhost:55555\"\n[signals]\ncells = [\"a\", \"a\"]", "twice"),
        ("address = \"http://localhost:55555\"\nsecret = \"x\"", "unknown field"),
    ] {
        let error = check(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}
