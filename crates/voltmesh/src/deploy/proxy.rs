//! The network between the demo's processes: one forwarding socket per ordered pair of nodes, so that a partition cuts
//! real connections of real processes from the outside.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Names one end of a link: `fog-1`, `edge-2`, `cloud`.
pub type NodeName = String;

/// All links of a run. A link is open while neither of its ends is partitioned.
#[derive(Clone, Default)]
pub struct Network {
    cut: Arc<Mutex<BTreeMap<NodeName, watch::Sender<bool>>>>,
}

impl Network {
    /// Cuts (`true`) or heals every link of a node; established connections of it end at once.
    pub fn set_partitioned(&self, node: &str, partitioned: bool) {
        self.sender(node).send_replace(partitioned);
    }

    fn sender(&self, node: &str) -> watch::Sender<bool> {
        let mut cut = self.cut.lock().expect("no holder of this lock panics");
        cut.entry(node.to_owned()).or_insert_with(|| watch::Sender::new(false)).clone()
    }

    /// Opens a link: connections to the returned address go on to `target`.
    pub async fn link(&self, from: &str, to: &str, target: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let ends = [self.sender(from), self.sender(to)];
        tokio::spawn(async move {
            loop {
                let Ok((inbound, _)) = listener.accept().await else { continue };
                let ends = ends.clone();
                tokio::spawn(async move {
                    let mut cuts = ends.each_ref().map(watch::Sender::subscribe);
                    if cuts.iter().any(|cut| *cut.borrow()) {
                        return;
                    }
                    let [a, b] = &mut cuts;
                    tokio::select! {
                        _ = forward(inbound, target) => {}
                        _ = a.wait_for(|cut| *cut) => {}
                        _ = b.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Ok(address)
    }
}

async fn forward(mut inbound: TcpStream, target: SocketAddr) -> io::Result<()> {
    let mut outbound = TcpStream::connect(target).await?;
    inbound.set_nodelay(true)?;
    outbound.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Asks the echo behind the link; `None` if the link is cut.
    async fn ask(address: SocketAddr) -> Option<u8> {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(&[7]).await.ok()?;
        stream.read_u8().await.ok()
    }

    #[tokio::test]
    async fn a_partition_cuts_and_a_heal_restores() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = echo.accept().await.unwrap();
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        stream.write_u8(byte).await.unwrap();
                    }
                });
            }
        });
        let network = Network::default();
        let address = network.link("fog-1", "fog-2", target).await.unwrap();
        assert_eq!(ask(address).await, Some(7));

        let mut established = TcpStream::connect(address).await.unwrap();
        established.write_all(&[1]).await.unwrap();
        assert_eq!(established.read_u8().await.unwrap(), 1);
        network.set_partitioned("fog-2", true);
        assert!(established.read_u8().await.is_err());
        assert_eq!(ask(address).await, None);

        network.set_partitioned("fog-2", false);
        assert_eq!(ask(address).await, Some(7));
    }
}
