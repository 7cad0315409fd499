use lictor_wire::{Container, ContainerImage, PodId, WorkloadRef};

use super::*;
use crate::fact::FactReader;

fn deployment(id: &str, name: &str, digest: &str) -> Deployment {
    Deployment {
        id: DeploymentId::new(id),
        name: name.to_owned(),
        kind: "Deployment".to_owned(),
        namespace: "shop".to_owned(),
        cluster_id: ClusterId::new("c"),
        containers: vec![Container {
            image: ContainerImage { id: digest.to_owned(), ..ContainerImage::default() },
            ..Container::default()
        }],
        ..Deployment::default()
    }
}

/// Puts a value in as a feed does.
fn feed(state: &ClusterState, bucket: Bucket, key: &str, revision: u64, value: &impl Serialize) {
    let json = serde_json::to_vec(value).unwrap();
    let fact = FactReader::default().read(bucket, key, &json).unwrap();
    state.put(revision, fact.unwrap());
}

#[test]
fn a_pod_finds_its_workload() {
    let state = ClusterState::default();
    feed(&state, Bucket::Deployments, "d1", 4, &deployment("d1", "web", "sha256:1"));
    let record = PodRecord {
        uid: PodId::new("u1"),
        namespace: "shop".to_owned(),
        name: "web-1".to_owned(),
        deployment: DeploymentId::new("d1"),
        ..PodRecord::default()
    };
    feed(&state, Bucket::Pods, "u1", 5, &record);

    let pod = |uid: &str, name: &str, workload: Option<&str>| PodRef {
        uid: PodId::new(uid),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        workload: workload.map(|name| WorkloadRef { kind: "Deployment".to_owned(), name: name.to_owned() }),
        ..PodRef::default()
    };
    let found = |pod: &PodRef| state.deployment_of(&ClusterId::new("c"), pod).map(|known| known.revision);
    assert_eq!(found(&pod("u1", "web-1", None)), Some(4));
    assert_eq!(found(&pod("u2", "web-2", Some("web"))), Some(4));
    assert_eq!(found(&pod("", "web-1", None)), Some(4));
    // Another pod of the same name is another pod.
    assert_eq!(found(&pod("u3", "web-1", None)), None);
    assert_eq!(found(&pod("u3", "web-1", Some("api"))), None);

    state.remove(Bucket::Pods, "u1");
    assert_eq!(found(&pod("u1", "web-1", None)), None);
}

#[test]
fn equal_pod_names_on_two_clusters_are_two_pods() {
    let state = ClusterState::default();
    // The records of `old` are of a producer that does not say the cluster.
    for (cluster, names_it) in [("c1", true), ("c2", true), ("old", false)] {
        let cluster = ClusterId::new(cluster);
        let id = DeploymentId::new(format!("workload on {cluster}"));
        let model = Deployment { id: id.clone(), cluster_id: cluster.clone(), ..Deployment::default() };
        state.put(1, Fact::deployment(model));
        state.put(
            1,
            Fact::pod(PodRecord {
                uid: PodId::new(format!("pod on {cluster}")),
                cluster: if names_it { cluster } else { ClusterId::default() },
                namespace: "shop".to_owned(),
                name: "web-0".to_owned(),
                deployment: id,
                ..PodRecord::default()
            }),
        );
    }
    let found = |cluster: &str| {
        let pod = PodRef { namespace: "shop".to_owned(), name: "web-0".to_owned(), ..PodRef::default() };
        let known = state.deployment_of(&ClusterId::new(cluster), &pod);
        known.map(|known| known.value.cluster_id.as_str().to_owned())
    };
    for cluster in ["c1", "c2", "old"] {
        assert_eq!(found(cluster).as_deref(), Some(cluster));
    }
    assert_eq!(found("c3"), None);

    state.remove(Bucket::Pods, &pod_key(&PodId::new("pod on c2")));
    assert_eq!(found("c2"), None);
    assert_eq!(found("c1").as_deref(), Some("c1"));
}

#[test]
fn a_digest_finds_its_users_until_they_change() {
    let state = ClusterState::default();
    feed(&state, Bucket::Deployments, "d1", 1, &deployment("d1", "web", "sha256:1"));
    feed(&state, Bucket::Deployments, "d2", 2, &deployment("d2", "api", "sha256:1"));
    assert_eq!(state.users_of("sha256:1").len(), 2);
    feed(&state, Bucket::Deployments, "d1", 3, &deployment("d1", "web", "sha256:2"));
    assert_eq!(state.users_of("sha256:1"), [DeploymentId::new("d2")]);
    state.remove(Bucket::Deployments, "d2");
    assert!(state.users_of("sha256:1").is_empty());
    assert_eq!(state.deployment(&DeploymentId::new("d1")).unwrap().revision, 3);
}

#[test]
fn a_value_is_the_same_however_it_was_put_in() {
    let model = deployment("d1", "web", "sha256:1");
    let (fed, given) = (ClusterState::default(), ClusterState::default());
    feed(&fed, Bucket::Deployments, "d1", 7, &model);
    given.put(7, Fact::deployment(model.clone()));
    for state in [fed, given] {
        // The first look-up parses what is packed, the second finds it parsed.
        for _ in 0..2 {
            let known = state.deployment(&model.id).unwrap();
            assert_eq!((known.revision, &*known.value), (7, &model));
        }
        state.clear(Bucket::Deployments);
        assert!(state.deployment(&model.id).is_none());
        assert!(state.users_of("sha256:1").is_empty());
    }
}

#[test]
fn a_value_that_cannot_be_read_leaves_what_there_was() {
    let state = ClusterState::default();
    feed(&state, Bucket::Deployments, "d1", 1, &deployment("d1", "web", "sha256:1"));
    let mut reader = FactReader::default();
    let error = reader.read(Bucket::Deployments, "d1", b"{\"id\": 3").unwrap_err();
    assert!(error.to_string().contains("`d1`"), "{error}");
    assert!(reader.read(Bucket::Presence, "p", b"{}").unwrap().is_none());
    assert_eq!(state.deployment(&DeploymentId::new("d1")).unwrap().revision, 1);
}
