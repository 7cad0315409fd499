//! Extractors for what happened: processes, files, requests to the API server.

use lictor_wire::{Ancestor, FileOperation, ProcessEvent, RequestOperation, UserInfo};

use super::Value;
use crate::audit;
use crate::input::Occurrence;
use crate::truth::Fact;
use crate::view::{ContainerView, Root};

// === processes ===

pub(in crate::criterion) fn process_name(process: &ProcessEvent) -> Value<'_> {
    Value::Text(&process.name)
}

pub(in crate::criterion) fn process_arguments(process: &ProcessEvent) -> Value<'_> {
    if process.truncated {
        Value::CutText(&process.args, Fact::ProcessArguments)
    } else {
        Value::Text(&process.args)
    }
}

pub(in crate::criterion) fn process_uid(process: &ProcessEvent) -> Value<'_> {
    process.uid.map_or(Value::Unknown(Fact::ProcessUser), |uid| Value::Uint(u64::from(uid)))
}

pub(in crate::criterion) fn ancestor_path(ancestor: &Ancestor) -> Value<'_> {
    Value::Text(&ancestor.exec_file_path)
}

// === baselines ===

/// Whether the process that ran in the container departs from the locked baseline.
pub(in crate::criterion) fn unexpected_process<'a>(container: &ContainerView<'a>) -> Value<'a> {
    match (container.process, container.deviates) {
        (None, _) => Value::Missing,
        (Some(_), Some(deviates)) => Value::Bool(deviates),
        (Some(_), None) => Value::Unknown(Fact::Baseline),
    }
}

/// Whether the connection departs from the locked baseline.
pub(in crate::criterion) fn unexpected_flow<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Network(_) = root.input.occurrence else { return Value::Missing };
    root.input.deviates.map_or(Value::Unknown(Fact::Baseline), Value::Bool)
}

// === files ===

/// The four paths of a file event: actual and effective, before and after a rename. One that is not there is empty.
pub(in crate::criterion) fn file_paths<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::File(event) = root.input.occurrence else { return Value::Missing };
    let moved = event.moved.as_ref();
    Value::List(vec![
        &event.file.actual,
        &event.file.effective,
        moved.map_or("", |moved| &moved.actual),
        moved.map_or("", |moved| &moved.effective),
    ])
}

pub(in crate::criterion) fn file_operation<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::File(event) = root.input.occurrence else { return Value::Missing };
    Value::Text(match event.operation {
        FileOperation::Unknown => return Value::Unknown(Fact::FileOperation),
        FileOperation::Read => "READ",
        FileOperation::Open => "OPEN",
        FileOperation::Create => "CREATE",
        FileOperation::Rename => "RENAME",
        FileOperation::Unlink => "UNLINK",
        FileOperation::OwnershipChange => "OWNERSHIP_CHANGE",
        FileOperation::PermissionChange | FileOperation::AclChange => "PERMISSION_CHANGE",
        FileOperation::XattrSet | FileOperation::XattrRemove => "XATTR_CHANGE",
    })
}

// === requests to the API server ===

/// The user who made the request; never the one they impersonated.
fn user<'a>(root: &Root<'a>) -> Option<&'a UserInfo> {
    match root.input.occurrence {
        Occurrence::Audit(event) => Some(&event.user),
        Occurrence::Request(event) => Some(&event.user),
        _ => None,
    }
}

pub(in crate::criterion) fn user_name<'a>(root: &Root<'a>) -> Value<'a> {
    user(root).map_or(Value::Missing, |user| Value::Text(&user.username))
}

pub(in crate::criterion) fn user_groups<'a>(root: &Root<'a>) -> Value<'a> {
    user(root).map_or(Value::Missing, |user| Value::list(&user.groups))
}

pub(in crate::criterion) fn resource<'a>(root: &Root<'a>) -> Value<'a> {
    match root.input.occurrence {
        Occurrence::Audit(event) => audit::resource(event)
            .map_or(Value::Missing, |resource| Value::Enum(resource.number(), resource.as_str())),
        Occurrence::Request(event) => match event.operation {
            RequestOperation::Exec => Value::Enum(2, "PODS_EXEC"),
            RequestOperation::PortForward => Value::Enum(3, "PODS_PORTFORWARD"),
            RequestOperation::Attach => Value::Enum(10, "PODS_ATTACH"),
            RequestOperation::Create | RequestOperation::Update | RequestOperation::Delete => Value::Missing,
        },
        _ => Value::Missing,
    }
}

pub(in crate::criterion) fn verb<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Audit(event) = root.input.occurrence else { return Value::Missing };
    audit::verb(event).map_or(Value::Missing, |verb| Value::Enum(verb.number(), verb.as_str()))
}

pub(in crate::criterion) fn resource_name<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Audit(event) = root.input.occurrence else { return Value::Missing };
    event.object_ref.as_ref().map_or(Value::Missing, |object| Value::Text(&object.name))
}

pub(in crate::criterion) fn user_agent<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Audit(event) = root.input.occurrence else { return Value::Missing };
    Value::Text(&event.user_agent)
}

pub(in crate::criterion) fn source_ips<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Audit(event) = root.input.occurrence else { return Value::Missing };
    Value::list(&event.source_ips)
}

pub(in crate::criterion) fn impersonated<'a>(root: &Root<'a>) -> Value<'a> {
    let Occurrence::Audit(event) = root.input.occurrence else { return Value::Missing };
    Value::Bool(event.impersonated_user.is_some())
}
