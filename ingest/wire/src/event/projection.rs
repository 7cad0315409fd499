//! The projection of an event: the fields that criteria can read.
//!
//! Most events match no policy, and most of an event is not needed to find that out: a process event has some forty
//! string fields, and policies can test three of them before they need its workload. The projection keeps those and
//! skips the rest.
//!
//! INVARIANT: it keeps everything that a criterion can read of the event itself. A criterion that reads more needs its
//! field here, or its policies would be skipped.

use serde::de::{IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer};

use super::envelope::ReadBody;
use super::{Envelope, EventData, Kind};
use crate::json::null_as_default;
use crate::{
    Ancestor, AuditEvent, AuditStage, ClusterId, EventId, FileEvent, FileOperation, FilePaths, NetworkEvent,
    ObjectReference, PodRef, ProcessAction, ProcessEvent, UserInfo,
};

/// What an event is, and what criteria can read of it without its workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// See [`crate::Event::id`].
    pub id: EventId,
    /// See [`crate::Event::cluster`].
    pub cluster: ClusterId,
    /// The body, with the fields that criteria about what happened read. The pod is empty: only that there is one is kept.
    pub data: EventData,
}

impl Projection {
    /// Reads an event that is judged for what happened: a process, network, file or audit event.
    ///
    /// `None` for all others, for a line that is not an event, and where the body comes before its type: such a line
    /// must be parsed in full to find out what it is. Skipped parts are only checked to be valid JSON.
    pub fn of(line: &str) -> Option<Self> {
        let Envelope { id, cluster, data, .. } = Envelope::<Fields>::read(line).ok()?;
        let Fields(Some(data)) = data? else { return None };
        Some(Self { id, cluster, data })
    }
}

/// The projected body; nothing for a kind that has no projection.
struct Fields(Option<EventData>);

impl<'de> ReadBody<'de> for Fields {
    fn read<A: MapAccess<'de>>(kind: Option<Kind>, map: &mut A) -> Result<Self, A::Error> {
        Ok(Self(match kind {
            Some(Kind::Process) => {
                Some(EventData::Process(Box::new(map.next_value::<ProcessFields>()?.into())))
            }
            Some(Kind::Network) => {
                Some(EventData::Network(Box::new(map.next_value::<NetworkFields>()?.into())))
            }
            Some(Kind::File) => Some(EventData::File(Box::new(map.next_value::<FileFields>()?.into()))),
            Some(Kind::Audit) => Some(EventData::Audit(Box::new(map.next_value::<AuditFields>()?.into()))),
            Some(Kind::Image | Kind::Deployment | Kind::Request | Kind::Coverage) | None => {
                map.next_value::<IgnoredAny>()?;
                None
            }
        }))
    }
}

/// That there is a pod.
fn pod<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PodRef>, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.map(|_| PodRef::default()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProcessFields {
    action: ProcessAction,
    name: String,
    args: String,
    uid: Option<u32>,
    #[serde(deserialize_with = "null_as_default")]
    ancestors: Vec<Ancestor>,
    #[serde(deserialize_with = "pod")]
    pod: Option<PodRef>,
    truncated: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NetworkFields {
    #[serde(deserialize_with = "pod")]
    pod: Option<PodRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileFields {
    operation: FileOperation,
    file: FilePaths,
    moved: Option<FilePaths>,
    #[serde(deserialize_with = "pod")]
    pod: Option<PodRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuditFields {
    stage: AuditStage,
    verb: String,
    #[serde(deserialize_with = "null_as_default")]
    user: UserFields,
    impersonated_user: Option<IgnoredAny>,
    #[serde(rename = "sourceIPs", deserialize_with = "null_as_default")]
    source_ips: Vec<String>,
    user_agent: String,
    object_ref: Option<ObjectFields>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserFields {
    username: String,
    #[serde(deserialize_with = "null_as_default")]
    groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectFields {
    resource: String,
    name: String,
}

impl From<ProcessFields> for ProcessEvent {
    fn from(fields: ProcessFields) -> Self {
        let ProcessFields { action, name, args, uid, ancestors, pod, truncated } = fields;
        Self { action, name, args, uid, ancestors, pod, truncated, ..Self::default() }
    }
}

impl From<NetworkFields> for NetworkEvent {
    fn from(NetworkFields { pod }: NetworkFields) -> Self {
        Self { pod, ..Self::default() }
    }
}

impl From<FileFields> for FileEvent {
    fn from(FileFields { operation, file, moved, pod }: FileFields) -> Self {
        Self { operation, file, moved, pod, ..Self::default() }
    }
}

impl From<AuditFields> for AuditEvent {
    fn from(fields: AuditFields) -> Self {
        let AuditFields { stage, verb, user, impersonated_user, source_ips, user_agent, object_ref } = fields;
        let UserFields { username, groups } = user;
        Self {
            stage,
            verb,
            user: UserInfo { username, groups, ..UserInfo::default() },
            impersonated_user: impersonated_user.map(|_| UserInfo::default()),
            source_ips,
            user_agent,
            object_ref: object_ref.map(|ObjectFields { resource, name }| ObjectReference {
                resource,
                name,
                ..ObjectReference::default()
            }),
            ..Self::default()
        }
    }
}
