//! A first look at an event.
//!
//! Most events concern no policy, and for that to be seen most of an event need not be kept: a process event has some
//! forty texts, and policies can ask for three of them before they ask about its workload. The looks below keep those
//! and skip the rest.
//!
//! INVARIANT: a look keeps everything that a criterion can ask of the event itself. A criterion that asks for more needs
//! its field here, or its policies would be passed over.

use serde::de::{IgnoredAny, MapAccess};
use serde::{Deserialize, Deserializer};

use super::envelope::ReadBody;
use super::{Envelope, EventData, Kind};
use crate::json::null_as_default;
use crate::{
    Ancestor, AuditEvent, AuditStage, ClusterId, EventId, FileEvent, FileOperation, FilePaths, NetworkEvent,
    ObjectReference, PodRef, ProcessAction, ProcessEvent, UserInfo,
};

/// What an event is, and what criteria can ask of it without knowing its workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// See [`crate::Event::id`].
    pub id: EventId,
    /// See [`crate::Event::cluster`].
    pub cluster: ClusterId,
    /// The body, with the fields that criteria about what happened ask for. The pod says no more than that there is one.
    pub data: EventData,
}

impl Glance {
    /// Looks at an event that is judged for what happened: a process, network, file or audit event.
    ///
    /// `None` for all others, for a line that is no event, and where the body stands before its type: such a line is to
    /// be read in full, which says what it is. What is skipped is not looked at beyond its being JSON.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let Envelope { id, cluster, data, .. } = Envelope::<Look>::read(line).ok()?;
        let Look(Some(data)) = data? else { return None };
        Some(Self { id, cluster, data })
    }
}

/// A body looked at; nothing for one that is not.
struct Look(Option<EventData>);

impl<'de> ReadBody<'de> for Look {
    fn read<A: MapAccess<'de>>(kind: Option<Kind>, map: &mut A) -> Result<Self, A::Error> {
        Ok(Self(match kind {
            Some(Kind::Process) => {
                Some(EventData::Process(Box::new(map.next_value::<ProcessLook>()?.into())))
            }
            Some(Kind::Network) => {
                Some(EventData::Network(Box::new(map.next_value::<NetworkLook>()?.into())))
            }
            Some(Kind::File) => Some(EventData::File(Box::new(map.next_value::<FileLook>()?.into()))),
            Some(Kind::Audit) => Some(EventData::Audit(Box::new(map.next_value::<AuditLook>()?.into()))),
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
struct ProcessLook {
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
struct NetworkLook {
    #[serde(deserialize_with = "pod")]
    pod: Option<PodRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileLook {
    operation: FileOperation,
    file: FilePaths,
    moved: Option<FilePaths>,
    #[serde(deserialize_with = "pod")]
    pod: Option<PodRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuditLook {
    stage: AuditStage,
    verb: String,
    #[serde(deserialize_with = "null_as_default")]
    user: UserLook,
    impersonated_user: Option<IgnoredAny>,
    #[serde(rename = "sourceIPs", deserialize_with = "null_as_default")]
    source_ips: Vec<String>,
    user_agent: String,
    object_ref: Option<ObjectLook>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserLook {
    username: String,
    #[serde(deserialize_with = "null_as_default")]
    groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectLook {
    resource: String,
    name: String,
}

impl From<ProcessLook> for ProcessEvent {
    fn from(look: ProcessLook) -> Self {
        let ProcessLook { action, name, args, uid, ancestors, pod, truncated } = look;
        Self { action, name, args, uid, ancestors, pod, truncated, ..Self::default() }
    }
}

impl From<NetworkLook> for NetworkEvent {
    fn from(NetworkLook { pod }: NetworkLook) -> Self {
        Self { pod, ..Self::default() }
    }
}

impl From<FileLook> for FileEvent {
    fn from(FileLook { operation, file, moved, pod }: FileLook) -> Self {
        Self { operation, file, moved, pod, ..Self::default() }
    }
}

impl From<AuditLook> for AuditEvent {
    fn from(look: AuditLook) -> Self {
        let AuditLook { stage, verb, user, impersonated_user, source_ips, user_agent, object_ref } = look;
        let UserLook { username, groups } = user;
        Self {
            stage,
            verb,
            user: UserInfo { username, groups, ..UserInfo::default() },
            impersonated_user: impersonated_user.map(|_| UserInfo::default()),
            source_ips,
            user_agent,
            object_ref: object_ref.map(|ObjectLook { resource, name }| ObjectReference {
                resource,
                name,
                ..ObjectReference::default()
            }),
            ..Self::default()
        }
    }
}
