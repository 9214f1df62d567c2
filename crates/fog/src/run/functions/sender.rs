//! Signed commands on their way to vehicles: handed to the relay in the order in which they were asked for, and told of once it is
//! known whether the vehicle has them.

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;
use voltmesh_telemetry::VehicleId;

use super::{
    command::{Sent, Signed},
    queue::{Queue, Told},
};

/// Commands that wait for the relay: four of each of 1,000 functions.
pub const WAITING: usize = 4_096;

/// Sends bytes over the session of their vehicle; done once the vehicle has acknowledged them, or it is known that it will not. The
/// order of first polls is the order on the wire.
pub type Relay = Box<dyn Fn(VehicleId, Bytes) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Runs until the thread is gone.
pub async fn run(relay: Relay, mut commands: mpsc::Receiver<Signed>, queue: Queue) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(Signed { vehicle, function, number, message, arrived_us }) = command else { return };
                let sending = relay(vehicle.clone(), message);
                let mut sending = Box::pin(sending.map(move |delivered| Sent { vehicle, function, number, arrived_us, delivered }));
                // Polled here, and not when it happens to be its turn: numbers must arrive as they were given.
                match futures::poll!(&mut sending) {
                    std::task::Poll::Ready(sent) => queue.tell(Told::Sent(Box::new(sent))),
                    std::task::Poll::Pending => under_way.push(sending),
                }
            }
            Some(sent) = under_way.next(), if !under_way.is_empty() => queue.tell(Told::Sent(Box::new(sent))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::functions::queue::Next;
    use std::{sync::Arc, time::Duration};
    use tokio::sync::Semaphore;

    /// Whatever order they are answered in, commands leave in their own.
    #[tokio::test]
    async fn commands_leave_in_order_and_each_is_told_of() {
        let (queue, order) = (Queue::new(1 << 20), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (gate, seen) = (Arc::new(Semaphore::new(0)), order.clone());
        let waits = gate.clone();
        let relay: Relay = Box::new(move |_, message| {
            let (waits, seen) = (waits.clone(), seen.clone());
            async move {
                seen.lock().unwrap().push(message[0]);
                // Even ones are known at once, odd ones later.
                if message[0] % 2 == 1 {
                    waits.acquire().await.map_err(|error| error.to_string())?.forget();
                }
                if message[0] == 3 { Err("gone".to_owned()) } else { Ok(()) }
            }
            .boxed()
        });
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(run(relay, receiver, queue.clone()));
        for number in 0..6u8 {
            let vehicle = "car".parse().unwrap();
            let message = Bytes::from(vec![number]);
            let signed =
                Signed { vehicle, function: "f".into(), number: number.into(), message, arrived_us: None };
            sender.send(signed).await.unwrap();
        }
        gate.add_permits(3);
        let mut told = Vec::new();
        let waited = tokio::task::spawn_blocking(move || {
            while told.len() < 6 {
                let Next::Told(Told::Sent(sent)) = queue.next(Duration::from_secs(60)) else {
                    panic!("{told:?}")
                };
                told.push((sent.number, sent.delivered.is_ok()));
            }
            told
        });
        let mut told = waited.await.unwrap();
        told.sort_unstable();
        assert_eq!(told, [(0, true), (1, true), (2, true), (3, false), (4, true), (5, true)]);
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
        drop(sender);
        task.await.unwrap();
    }
}
