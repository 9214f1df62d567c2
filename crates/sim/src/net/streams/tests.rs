use super::*;
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _};

const A: NodeAddress = NodeAddress(1);
const B: NodeAddress = NodeAddress(2);

fn run<F: Future>(f: impl FnOnce(deterministic::Context, Net) -> F) -> F::Output {
    deterministic::Runner::seeded(3).start(|context| {
        let net = Net::new(context.child("net"), 5);
        f(context, net)
    })
}

async fn pair(net: &Net) -> (Stream, Stream) {
    let mut incoming = net.listen(B);
    let here = net.connect(A, B).await.unwrap();
    let (peer, there) = incoming.accept().await;
    assert_eq!((peer, here.peer()), (A, B));
    (here, there)
}

async fn read(stream: &mut Stream, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        all.extend(stream.recv().await.expect("connected"));
    }
    all
}

#[test]
fn bytes_arrive_in_order_over_a_bad_road() {
    run(|_, net| async move {
        net.set(LinkQuality { loss_per_mille: 200, ..LinkQuality::default() });
        let (here, mut there) = pair(&net).await;
        let sent: Vec<u8> = (0..2000u32).map(|i| i as u8).collect();
        for piece in sent.chunks(37) {
            here.send(piece.to_vec());
        }
        assert_eq!(read(&mut there, sent.len()).await, sent);
        drop(here);
        assert!(there.recv().await.is_none());
    });
}

#[test]
fn a_cut_road_stalls_and_heals_or_gives_up() {
    run(|context, net| async move {
        let (here, mut there) = pair(&net).await;
        net.cut(A, B);
        here.send(&b"late"[..]);
        assert_eq!(net.connect(A, B).await.err(), Some(Unreachable));
        let before = context.current();
        let healer = net.clone();
        context.child("heal").spawn(move |context| async move {
            context.sleep(Duration::from_millis(1500)).await;
            healer.heal(B, A);
        });
        assert_eq!(read(&mut there, 4).await, b"late");
        assert!(context.current().duration_since(before).unwrap() >= Duration::from_millis(1500));
        net.cut(A, B);
        here.send(&b"never"[..]);
        assert!(there.recv().await.is_none());
    });
}

#[test]
fn a_killed_peer_is_noticed_at_once_and_one_without_power_later() {
    run(|context, net| async move {
        let (mut here, there) = pair(&net).await;
        let before = context.current();
        there.send(&b"lost"[..]);
        net.reset(B);
        assert!(here.recv().await.is_none());
        assert!(context.current().duration_since(before).unwrap() < Duration::from_millis(100));
        assert!(net.connect(A, B).await.is_err());
        let (mut here, there) = pair(&net).await;
        let before = context.current();
        net.silence(B);
        drop(there);
        assert!(here.recv().await.is_none());
        assert!(context.current().duration_since(before).unwrap() >= Duration::from_secs(3));
    });
}
