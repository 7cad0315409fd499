//! The same API server's audit webhook, posting to ingest.

use std::collections::BTreeSet;

use axum::http::Request;
use lictor_bus::{ReadFrom, Stream};
use lictor_normalize::{Batch, Format, Origin};
use lictor_wire::{ClusterId, Kind};

use super::world::World;
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("a secret is read, and an alert says by whom", "", secret_read),
    case("requests under one audit ID, which the client chose, are each judged", "", one_audit_id),
    case("a refused request for a namespace of 5,000 letters holds nothing up", "", endless_namespace),
    case("the log and the webhook give a record the same id", "", log_and_webhook),
];

fn secret_read(world: &World) -> Result<(), String> {
    world.namespace("vault")?;
    world.ask("-n vault create secret generic vault-key --from-literal=a=b").allowed()?;
    world.ask("create clusterrolebinding dave --clusterrole=cluster-admin --user=dave").allowed()?;
    world.ask("-n vault --as dave get secret vault-key").allowed()?;
    secret_alert(world, "vault", "vault-key")
}

fn one_audit_id(world: &World) -> Result<(), String> {
    world.namespace("ids")?;
    let names = ["vault-0", "vault-1", "vault-2", "vault-3", "vault-4"];
    for name in names {
        world.ask(&format!("-n ids create secret generic {name} --from-literal=a=b")).allowed()?;
    }
    let runtime = tokio::runtime::Handle::current();
    let client = runtime.block_on(world.control_plane.client());
    for path in names.map(|name| format!("/api/v1/namespaces/ids/secrets/{name}")) {
        let request = Request::get(path).header("Audit-ID", "chosen").body(Vec::new()).unwrap();
        runtime.block_on(client.request_text(request)).map_err(|error| error.to_string())?;
    }
    names.iter().try_for_each(|name| secret_alert(world, "ids", name))
}

fn endless_namespace(world: &World) -> Result<(), String> {
    let path = format!("/api/v1/namespaces/{}/secrets/x", "a".repeat(5_000));
    world.ask(&format!("--as nobody get --raw {path}")).refused(&["forbidden"])?;
    world.namespace("after")?;
    world.ask("-n after create secret generic vault-after --from-literal=a=b").allowed()?;
    world.ask("-n after get secret vault-after").allowed()?;
    secret_alert(world, "after", "vault-after")?;
    world.eventually("everything is acknowledged", || {
        let runtime = tokio::runtime::Handle::current();
        let report = runtime.block_on(async { world.cluster.bus().await.report().await.unwrap() });
        let consumer = report.consumers.iter().find(|consumer| consumer.stream == "LICTOR_EVENTS_AUDIT");
        let (pending, in_flight) = consumer.map_or((1, 1), |consumer| (consumer.pending, consumer.in_flight));
        if pending + in_flight == 0 {
            Ok(())
        } else {
            Err(format!("{pending} pending, {in_flight} in flight"))
        }
    })
}

fn log_and_webhook(world: &World) -> Result<(), String> {
    let logged = logged(world);
    assert!(logged.len() > 10, "{}", logged.len());
    world.eventually("all records of the log come by the webhook", || {
        let missing = logged.difference(&published(world)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", logged.len())) }
    })?;
    let published = published(world);
    // What was logged meanwhile may be there, too.
    let extra = published.difference(&self::logged(world)).count();
    if extra == 0 { Ok(()) } else { Err(format!("{extra} ids of {} are in no log", published.len())) }
}

/// Ids of the records in the audit log.
fn logged(world: &World) -> BTreeSet<String> {
    let text = std::fs::read_to_string(world.control_plane.audit_log()).unwrap();
    let origin = Origin {
        cluster: ClusterId::new("test"),
        source: "/audit/log".to_owned(),
        received: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut batch = Batch::default();
    // The last line may be half written.
    let lines = text.lines().take(text.matches('\n').count());
    lines.for_each(|line| Format::Audit.read(line, &origin, &mut batch).unwrap());
    batch.events.iter().map(|event| event.id.to_string()).collect()
}

/// Ids of the audit events in the stream.
fn published(world: &World) -> BTreeSet<String> {
    let runtime = tokio::runtime::Handle::current();
    runtime.block_on(async {
        let bus = world.cluster.bus().await;
        let mut reader = bus.read(Stream::Events(Kind::Audit), ReadFrom::First, false);
        let mut ids = BTreeSet::new();
        while let Some(entry) = reader.next_of_backlog().await {
            let events = bus.events(&entry.unwrap()).await.unwrap();
            ids.extend(events.into_iter().map(|event| event.unwrap().id.to_string()));
        }
        ids
    })
}

fn secret_alert(world: &World, namespace: &str, name: &str) -> Result<(), String> {
    let about = |alert: &serde_json::Value| {
        alert["entity"]["resource"] == "secrets"
            && alert["entity"]["name"] == name
            && alert["entity"]["namespace"] == namespace
            && alert["state"] == "ACTIVE"
    };
    world.alert("Secret is read", about).map(drop)
}
