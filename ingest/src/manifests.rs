//! Workloads from files: their facts go to the buckets first, then each is published as an event.

use std::path::PathBuf;
use std::time::Duration;

use std::future::ready;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use lictor_normalize::Origin;
use lictor_normalize::manifest::{self, Manifests, Text};
use lictor_wire::topology::{Bucket, deployment_key, namespace_key, pod_key};
use lictor_wire::{ClusterId, Deployment, DeploymentChange, DeploymentEvent, Event, EventData, Fingerprint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::IngestError;
use crate::files::{self, FileError};
use crate::forward::{Forward, unreadable};
use crate::outlet::{Outlet, OutletError};

/// Facts written side by side: at a millisecond each, some 30,000 a second.
const SIDE_BY_SIDE: usize = 32;

/// Between attempts while the bus is unavailable.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Reads files and folders, writes what they hold and publishes it.
pub(crate) async fn run<O: Outlet>(
    paths: Vec<PathBuf>,
    cluster: ClusterId,
    forward: Forward<O>,
) -> Result<(), IngestError> {
    let of = cluster.clone();
    let task = tokio::task::spawn_blocking(move || {
        let texts = texts(&paths)?;
        let views = texts.iter().map(|(name, text)| Text { name, text });
        Ok::<_, IngestError>(manifest::read(views, &of))
    });
    let found = task.await.map_err(|error| IngestError::Part(error.to_string()))??;
    tracing::info!(
        workloads = found.deployments.len(),
        pods = found.pods.len(),
        ignored = found.ignored.len(),
        errors = found.errors.len(),
        "manifests read"
    );
    for ignored in &found.ignored {
        tracing::debug!(place = %ignored.place, kind = ignored.kind, name = ignored.name, "ignored");
    }
    forward.counts.change(|summary| summary.ignored += found.ignored.len() as u64);
    publish(found, &cluster, &forward).await;
    Ok(())
}

async fn publish<O: Outlet>(found: Manifests, cluster: &ClusterId, forward: &Forward<O>) {
    let letters = found.errors.iter().map(|error| {
        tracing::warn!("{error} ({})", error.hint());
        let reason = format!("{}; {}", error.problem, error.hint());
        unreadable(reason, &error.place.file, error.place.line, String::new(), false)
    });
    forward.until_acknowledged(Vec::new(), letters.collect()).await;

    let namespaces = found
        .namespaces
        .into_iter()
        .map(|namespace| (namespace_key(cluster.as_str(), &namespace.name), namespace));
    write(Bucket::Namespaces, namespaces, forward).await;
    let deployments = found.deployments.into_iter().map(|model| (deployment_key(&model.id), model));
    let written = write(Bucket::Deployments, deployments, forward).await;
    let pods = found.pods.into_iter().map(|pod| (pod_key(&pod.uid), pod));
    write(Bucket::Pods, pods, forward).await;

    let origin =
        Origin { cluster: cluster.clone(), source: "/manifests".to_owned(), received: Timestamp::now() };
    let events = written.into_iter().map(|fact| event(fact, &origin)).collect();
    forward.until_acknowledged(events, Vec::new()).await;
}

/// A fact as the bucket has it.
struct Fact<T> {
    value: T,
    revision: u64,
    change: DeploymentChange,
}

/// Writes what is new or different; what is there already keeps its revision. What the bus refuses for good, such as a
/// workload that does not fit a message, goes to the dead letters alone.
async fn write<T, O>(
    bucket: Bucket,
    facts: impl Iterator<Item = (String, T)>,
    forward: &Forward<O>,
) -> Vec<Fact<T>>
where
    T: Serialize + DeserializeOwned + PartialEq + Send + Sync,
    O: Outlet,
{
    let writes = facts.map(|(key, value)| write_one(bucket, key, value, forward));
    stream::iter(writes).buffered(SIDE_BY_SIDE).filter_map(ready).collect().await
}

async fn write_one<T, O>(bucket: Bucket, key: String, value: T, forward: &Forward<O>) -> Option<Fact<T>>
where
    T: Serialize + DeserializeOwned + PartialEq + Send + Sync,
    O: Outlet,
{
    loop {
        let written = async {
            // What is there and cannot be read is written over.
            let there = match forward.outlet.get::<T>(bucket, &key).await {
                Err(OutletError::Refused(_)) => None,
                other => other?,
            };
            match there {
                Some((revision, there)) if there == value => Ok((revision, DeploymentChange::Seen)),
                Some(_) => Ok((forward.outlet.put(bucket, &key, &value).await?, DeploymentChange::Updated)),
                None => Ok((forward.outlet.put(bucket, &key, &value).await?, DeploymentChange::Seen)),
            }
        };
        match written.await {
            Ok((revision, change)) => {
                forward.counts.change(|summary| summary.facts += 1);
                return Some(Fact { value, revision, change });
            }
            Err(OutletError::Refused(reason)) => {
                tracing::warn!(key, reason, "the bus refuses a fact");
                let text = serde_json::to_string(&value).unwrap_or_default();
                let letter = unreadable(reason, "/manifests", 0, text, false);
                forward.until_acknowledged(Vec::new(), vec![letter]).await;
                return None;
            }
            Err(error) => tracing::warn!(%error, key, "cannot write a fact; retrying"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// The event's id is made of what the workload is and of the revision it has in its bucket: the same manifest read
/// twice is the same event, and a workload that is changed back is an event of its own.
fn event(fact: Fact<Deployment>, origin: &Origin) -> Event {
    let Fact { value: deployment, revision, change } = fact;
    let content = serde_json::to_string(&deployment).unwrap_or_default();
    let id = Fingerprint::new("manifest").part(&origin.cluster).part(&deployment.id);
    let id = id.part(content).number(revision);
    let data = DeploymentEvent { change, deployment, revision };
    origin.event(id.into(), None, EventData::Deployment(Box::new(data)))
}

/// The texts of files, and of the YAML and JSON files of folders in the order of their names.
fn texts(paths: &[PathBuf]) -> Result<Vec<(String, String)>, FileError> {
    let mut texts = Vec::new();
    for path in paths {
        for file in files::below(path)? {
            // What is not UTF-8 is not YAML; the reader reports it with its line.
            let text = String::from_utf8_lossy(&files::bytes(&file)?).into_owned();
            texts.push((file.display().to_string(), text));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn one_workload_that_is_refused_does_not_hold_up_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let pod = |name: &str, image: &str| {
            let text = format!(
                "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\"}},\
                 \"spec\":{{\"containers\":[{{\"name\":\"c\",\"image\":\"{image}\"}}]}}}}"
            );
            let path = folder.path().join(format!("{name}.json"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths = vec![pod("big", "shop/too-large:1"), pod("small", "shop/web:1")];
        let fake = Fake::default();
        fake.refuse("too-large");
        run(paths, ClusterId::new("c1"), Forward::new(fake.clone())).await.unwrap();
        let workloads: Vec<String> = fake
            .events()
            .into_iter()
            .map(|event| match event.data {
                EventData::Deployment(body) => body.deployment.name,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(workloads, ["small"]);
        let letters = fake.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert!(letters[0].original.contains("too-large"));
    }
}
