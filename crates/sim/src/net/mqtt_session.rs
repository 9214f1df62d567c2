//! MQTT sessions over simulated links: the protocol's state machines, driven by bytes and time.

use super::streams::Stream;
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::Clock;
use futures::{StreamExt as _, channel::mpsc::UnboundedReceiver};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use voltmesh_mqtt::{
    ClientConnection, ClientInput, ClientOptions, ClientOutput, End, Identity, Limits, Moment, Outgoing,
    Policy, Reason, Refusal, ServerConnection, ServerInput, ServerOutput, Token,
};

/// A wait without end, for a state machine without a deadline.
const FOREVER: Duration = Duration::from_secs(3_600);

/// Orders of a role to its client session.
#[derive(Clone, Debug)]
pub enum ToClient {
    /// Send.
    Publish(Outgoing),
    /// A message was dealt with.
    Accept(Token),
    /// Measure the round trip.
    Ping,
    /// End it.
    Disconnect(Reason),
}

/// Orders of a role to a server session.
#[derive(Clone, Debug)]
pub enum ToServer {
    /// PUBACK with success.
    Accept(Token),
    /// PUBACK with a reason.
    Reject(Token, Refusal),
    /// Send to the peer.
    Publish(Outgoing),
    /// End it.
    Disconnect(Refusal),
}

fn moment(clock: &impl Clock) -> Moment {
    Moment::from_origin(clock.current().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// When the state machine wants to be woken, by the node's clock.
fn wake(clock: &impl Clock, deadline: Option<Moment>) -> SystemTime {
    deadline.map_or(clock.current() + FOREVER, |at| SystemTime::UNIX_EPOCH + at.since_origin())
}

/// Sends what there is; sending nothing would wake the peer all the same.
fn send(stream: &Stream, bytes: Bytes) {
    if !bytes.is_empty() {
        stream.send(bytes);
    }
}

/// Runs a client's session until it ends; `tell` gets all its outputs, the end last.
pub async fn client<E: Clock>(
    clock: &E,
    mut stream: Stream,
    options: ClientOptions,
    commands: &mut UnboundedReceiver<ToClient>,
    mut tell: impl FnMut(ClientOutput),
) {
    let mut connection = match ClientConnection::new(moment(clock), options) {
        Ok(connection) => connection,
        Err(error) => panic!("the simulation's own options are wrong: {error}"),
    };
    loop {
        send(&stream, connection.take_bytes());
        let at = wake(clock, connection.deadline());
        let outputs = select! {
            received = stream.recv() => match received {
                Some(bytes) => connection.handle(moment(clock), ClientInput::Received(&bytes)),
                None => connection.handle(moment(clock), ClientInput::Closed("the link ended")),
            },
            command = commands.next() => match command {
                Some(command) => connection.handle(moment(clock), client_input(command)),
                None => return,
            },
            _ = clock.sleep_until(at) => connection.handle(moment(clock), ClientInput::Tick),
        };
        for output in outputs {
            let ended = matches!(output, ClientOutput::Ended(_));
            if ended {
                send(&stream, connection.take_bytes());
            }
            tell(output);
            if ended {
                return;
            }
        }
    }
}

fn client_input(command: ToClient) -> ClientInput<'static> {
    match command {
        ToClient::Publish(item) => ClientInput::Publish(item),
        ToClient::Accept(token) => ClientInput::Accept(token),
        ToClient::Ping => ClientInput::Ping,
        ToClient::Disconnect(reason) => ClientInput::Disconnect(reason),
    }
}

/// Runs a server's session until it ends; `tell` gets all its outputs, the end last.
pub async fn server<E: Clock>(
    clock: &E,
    mut stream: Stream,
    peer: Identity,
    policy: Arc<dyn Policy>,
    limits: Limits,
    mut commands: UnboundedReceiver<ToServer>,
    mut tell: impl FnMut(ServerOutput),
) {
    let mut connection = ServerConnection::new(moment(clock), peer, policy, limits);
    loop {
        send(&stream, connection.take_bytes());
        let at = wake(clock, connection.deadline());
        let outputs = select! {
            received = stream.recv() => match received {
                Some(bytes) => connection.handle(moment(clock), ServerInput::Received(&bytes)),
                None => connection.handle(moment(clock), ServerInput::Closed("the link ended")),
            },
            command = commands.next() => match command {
                Some(command) => connection.handle(moment(clock), server_input(command)),
                None => return tell(ServerOutput::Ended(End::Lost("the role let it go".into()))),
            },
            _ = clock.sleep_until(at) => connection.handle(moment(clock), ServerInput::Tick),
        };
        for output in outputs {
            let ended = matches!(output, ServerOutput::Ended(_));
            if ended {
                send(&stream, connection.take_bytes());
            }
            tell(output);
            if ended {
                return;
            }
        }
    }
}

fn server_input(command: ToServer) -> ServerInput<'static> {
    match command {
        ToServer::Accept(token) => ServerInput::Accept(token),
        ToServer::Reject(token, reason) => ServerInput::Reject(token, reason),
        ToServer::Publish(item) => ServerInput::Publish(item),
        ToServer::Disconnect(reason) => ServerInput::Disconnect(reason),
    }
}
