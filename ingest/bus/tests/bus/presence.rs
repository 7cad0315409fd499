use std::collections::BTreeMap;

use lictor_bus::{Bucket, new_presence};
use lictor_tests::NatsServer;
use lictor_wire::Presence;
use tokio::sync::oneshot;

use crate::{connect, within};

#[tokio::test]
async fn a_role_is_present_until_it_stops() {
    let server = NatsServer::start().await;
    let bus = connect(&server).await;
    let (who, other) = (new_presence("store"), new_presence("store"));
    assert_ne!(who.instance, other.instance);
    let key = format!("role.store.{}", who.instance);
    let (stop, stopped) = oneshot::channel::<()>();
    let presenting = tokio::spawn({
        let (bus, who) = (bus.clone(), who.clone());
        async move {
            let refresh = |who: &mut Presence| *who.counts.entry("said".to_owned()).or_default() += 1;
            let stopped = async {
                let _ = stopped.await;
            };
            bus.heartbeat(who, refresh, stopped).await;
        }
    });
    let found = async || bus.get::<Presence>(Bucket::Presence, &key).await.unwrap();
    let said = async |times: u64| loop {
        if let Some((_, found)) = found().await
            && found.counts["said"] == times
        {
            break found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let first = within(said(1)).await;
    let counts = BTreeMap::from([("said".to_owned(), 1)]);
    assert_eq!(first, Presence { seen: first.seen, counts, ..who });
    let second = within(said(2)).await;
    let between = second.seen.duration_since(first.seen).as_secs();
    assert!((4..10).contains(&between), "said again after {between} s");
    stop.send(()).unwrap();
    within(presenting).await.unwrap();
    assert_eq!(found().await, None);
}
