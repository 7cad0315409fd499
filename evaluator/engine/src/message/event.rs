//! What happened, in one sentence.

use lictor_wire::{
    AuditEvent, FileEvent, FileOperation, NetworkEvent, NetworkProtocol, ProcessEvent, RequestEvent,
    RequestOperation,
};

use crate::audit;
use crate::input::{Input, Occurrence};

/// The sentence; none for what is there and did not happen.
pub(super) fn sentence(input: &Input<'_>) -> Option<String> {
    match input.occurrence {
        Occurrence::Process(event) => Some(process(event)),
        Occurrence::File(event) => Some(file(event)),
        Occurrence::Network(event) => Some(network(event, input)),
        Occurrence::Audit(event) => Some(audit(event)),
        Occurrence::Request(event) => request(event),
        Occurrence::Deployment | Occurrence::Image(_) => None,
    }
}

fn process(event: &ProcessEvent) -> String {
    let path = if event.exec_file_path.is_empty() { &event.name } else { &event.exec_file_path };
    let arguments = if event.args.is_empty() {
        "without arguments".to_owned()
    } else {
        format!("with arguments `{}`", event.args)
    };
    let user = event.uid.map(|uid| format!(" under user id {uid}")).unwrap_or_default();
    format!("binary `{path}` executed {arguments}{user}")
}

fn file(event: &FileEvent) -> String {
    let paths = &event.file;
    let path = [&paths.actual, &paths.effective].into_iter().find(|path| !path.is_empty());
    let path = path.map_or_else(|| "an unknown file".to_owned(), |path| format!("`{path}`"));
    let what = match event.operation {
        FileOperation::Unknown => "was touched",
        FileOperation::Read => "was read",
        FileOperation::Open => "was opened for writing",
        FileOperation::Create => "was created",
        FileOperation::Rename => "was renamed",
        FileOperation::Unlink => "was deleted",
        FileOperation::OwnershipChange => "changed its owner",
        FileOperation::PermissionChange => "changed its permissions",
        FileOperation::AclChange => "changed its access control list",
        FileOperation::XattrSet => "had an extended attribute set",
        FileOperation::XattrRemove => "had an extended attribute removed",
    };
    format!("{path} {what}")
}

fn network(event: &NetworkEvent, input: &Input<'_>) -> String {
    let word = match input.deviates {
        Some(true) => "unexpected ",
        Some(false) => "expected ",
        None => "",
    };
    let name = |entity: &lictor_wire::NetworkEntity| {
        let name = if entity.name.is_empty() { &entity.address } else { &entity.name };
        format!("`{name}`")
    };
    let own = input.deployment.map(|deployment| format!("`{}`", deployment.name));
    let own = own.unwrap_or_else(|| name(&event.local));
    let (from, to, port) = match event.direction {
        lictor_wire::Direction::Egress => (own, name(&event.remote), event.remote.port),
        lictor_wire::Direction::Ingress => (name(&event.remote), own, event.local.port),
    };
    let protocol = match event.protocol {
        NetworkProtocol::Unknown => "unknown protocol",
        NetworkProtocol::Tcp => "TCP",
        NetworkProtocol::Udp => "UDP",
        NetworkProtocol::Sctp => "SCTP",
        NetworkProtocol::Icmp => "ICMP",
    };
    format!("{word}network flow from {from} to {to}, destination port {port}, {protocol}")
}

fn request(event: &RequestEvent) -> Option<String> {
    let pod = if event.object_ref.name.is_empty() {
        String::new()
    } else {
        format!(" pod `{}`", event.object_ref.name)
    };
    let container =
        if event.container.is_empty() { String::new() } else { format!(", container `{}`", event.container) };
    let by = if event.user.username.is_empty() {
        String::new()
    } else {
        format!(" by user `{}`", event.user.username)
    };
    Some(match event.operation {
        RequestOperation::Exec => {
            let command = if event.command.is_empty() {
                String::new()
            } else {
                format!(" of `{}`", event.command.join(" "))
            };
            format!("exec{command} into{pod}{container}{by}")
        }
        RequestOperation::Attach => format!("attach to{pod}{container}{by}"),
        RequestOperation::PortForward => {
            let ports: Vec<String> = event.ports.iter().map(ToString::to_string).collect();
            let ports =
                if ports.is_empty() { String::new() } else { format!(", ports {}", ports.join(", ")) };
            format!("port-forward to{pod}{ports}{by}")
        }
        RequestOperation::Create | RequestOperation::Update | RequestOperation::Delete => return None,
    })
}

fn audit(event: &AuditEvent) -> String {
    let object = event.object_ref.as_ref();
    let name = object.map_or("", |object| &*object.name);
    let kind = audit::resource(event).map_or("an object", |resource| resource.words(name.is_empty()));
    let namespace = object.map_or("", |object| &*object.namespace);
    let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
    let place = if namespace.is_empty() { String::new() } else { format!(" in namespace `{namespace}`") };
    let impersonated = event
        .impersonated_user
        .as_ref()
        .map(|user| format!(", impersonating `{}`", user.username))
        .unwrap_or_default();
    format!("{} access to {kind}{name}{place} by user `{}`{impersonated}", event.verb, event.user.username)
}
