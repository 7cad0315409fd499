//! `lictor ingest`, `evaluator`, `enforcer`, `store`: one role, as many processes as one likes.

use std::sync::Arc;

use lictor_wire::topology::Role;

use crate::cli::Nats;
use crate::exit::{Exit, Failure};
use crate::shutdown;

pub(super) async fn ingest(nats: Nats, config: lictor_ingest::Config) -> Result<Exit, Failure> {
    config.check().map_err(super::not_ingested)?;
    let stop = shutdown::on_signal();
    let bus = super::connect(&nats, Role::Ingest, "lictor-ingest").await?;
    let summary = lictor_ingest::run(config, bus.clone(), stop).await.map_err(super::not_ingested)?;
    bus.drain().await;
    let published: Vec<String> =
        summary.published.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let published = if published.is_empty() { "nothing".to_owned() } else { published.join(", ") };
    let dead = crate::text::count(summary.dead_letters, "dead letter", "dead letters");
    crate::text::note(&format!("published {published}; {dead}"));
    // What could not be read is in the dead letters, and does not pass as fine.
    Ok(if summary.dead_letters == 0 { Exit::Fine } else { Exit::InvalidInput })
}

pub(super) async fn evaluator(nats: Nats, config: lictor_evaluator::Config) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal();
    let bus = super::connect(&nats, Role::Evaluator, "lictor-evaluator").await?;
    let ended = lictor_evaluator::run(config, bus.clone(), stop).await;
    bus.drain().await;
    let summary = ended.map_err(Failure::unreachable)?;
    crate::text::note(&summary.to_string());
    Ok(Exit::Fine)
}

pub(super) async fn enforcer(nats: Nats, config: lictor_enforcer::Config) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal();
    let bus = super::connect(&nats, Role::Enforcer, "lictor-enforcer").await?;
    let summary = lictor_enforcer::run(config, bus.clone(), stop).await;
    bus.drain().await;
    crate::text::note(&summary.to_string());
    Ok(Exit::Fine)
}

pub(super) async fn admission(nats: Nats, config: lictor_admission::Config) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal();
    let bus = super::options(&nats.nats_url, &nats.bus, Role::Admission, "lictor-admission")?;
    let summary = lictor_admission::run(config, bus, stop).await.map_err(|error| {
        let hint = error.hint();
        Failure::unreachable(error).hint(hint)
    })?;
    crate::text::note(&summary.to_string());
    Ok(Exit::Fine)
}

pub(super) async fn store(nats: Nats, config: lictor_store::Config) -> Result<Exit, Failure> {
    let stop = shutdown::on_signal();
    let bus = super::open(&nats.nats_url, &nats.bus, Role::Store, "lictor-store").await?;
    super::set_up(&config, &bus).await?;
    let listener = config.bind().await.map_err(Failure::unreachable)?;
    let ended = lictor_store::run(&config, bus.clone(), listener, Arc::default(), &stop).await;
    bus.drain().await;
    ended.map_err(super::store_failure)?;
    Ok(Exit::Fine)
}
