//! The same API server's audit webhook, posting to ingest.

use super::world::World;
use super::{Case, case};

pub(super) const CASES: &[Case] = &[case("a secret is read, and an alert says by whom", "", secret_read)];

fn secret_read(world: &World) -> Result<(), String> {
    world.namespace("vault")?;
    world.ask("-n vault create secret generic vault-key --from-literal=a=b").allowed()?;
    world.ask("create clusterrolebinding dave --clusterrole=cluster-admin --user=dave").allowed()?;
    world.ask("-n vault --as dave get secret vault-key").allowed()?;
    let about = |alert: &serde_json::Value| {
        alert["entity"]["resource"] == "secrets"
            && alert["entity"]["name"] == "vault-key"
            && alert["entity"]["namespace"] == "vault"
            && alert["state"] == "ACTIVE"
    };
    world.alert("Secret is read", about).map(drop)
}
