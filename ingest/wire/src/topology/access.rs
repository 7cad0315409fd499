//! Who may do what on the server: a NATS user for each role, with the least that the role needs.
//!
//! Nobody may update, purge or delete a stream, delete a message, or delete a consumer. A store creates what is
//! missing. Everything else is granted by stream, bucket and consumer, and each role has an inbox of its own, so that
//! no role reads what another one is handed.

use super::{Bucket, Consumer, Stream, Topology};
use crate::Kind;

/// Who connects to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `lictor ingest`.
    Ingest,
    /// `lictor evaluator`.
    Evaluator,
    /// `lictor enforcer`.
    Enforcer,
    /// `lictor enforcer admission`.
    Admission,
    /// `lictor store`.
    Store,
    /// People and pipelines that change policies.
    Author,
    /// People who look at results: `lictor doctor`, `verdicts tail`, `receipts tail`, `policy list`.
    Viewer,
    /// People who look at everything, `lictor events tail` included: arguments, environment variables and annotations
    /// are in events as they were.
    Auditor,
    /// `lictor up`: every role in one process.
    Up,
}

/// Subjects that a role's user may publish to and subscribe to; NATS' own wildcards and precedence (what is denied is
/// denied, whatever is allowed).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// It may publish to these.
    pub publish: Vec<String>,
    /// It may not publish to these.
    pub deny_publish: Vec<String>,
    /// It may subscribe to these.
    pub subscribe: Vec<String>,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 9] = [
        Self::Ingest,
        Self::Evaluator,
        Self::Enforcer,
        Self::Admission,
        Self::Store,
        Self::Author,
        Self::Viewer,
        Self::Auditor,
        Self::Up,
    ];

    /// The role's name: that of its user.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Evaluator => "evaluator",
            Self::Enforcer => "enforcer",
            Self::Admission => "admission",
            Self::Store => "store",
            Self::Author => "author",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Up => "up",
        }
    }

    /// What the subjects begin with on which the role receives answers. Nobody may subscribe to them whose user could
    /// not read the same by itself.
    pub fn inbox(self) -> String {
        format!("_INBOX.{}", self.as_str())
    }

    /// The inboxes of all commands that a role's user may give.
    fn inboxes(self) -> Vec<String> {
        let of: &[Self] = match self {
            Self::Author => &[Self::Author, Self::Viewer],
            Self::Auditor => &[Self::Auditor, Self::Viewer],
            Self::Up => &Self::ALL,
            role => &[role],
        };
        of.iter().map(|role| role.inbox()).collect()
    }
}

impl Topology {
    /// What a role may do.
    pub fn permissions(&self, role: Role) -> Permissions {
        let (created, shared) = (Vec::new(), Vec::new());
        let mut grants = Grants { topology: self, permissions: Permissions::default(), created, shared };
        grants.look();
        grants.role(role);
        grants.deny_other_shares();
        let mut permissions = grants.permissions;
        permissions.subscribe = role.inboxes().iter().map(|inbox| format!("{inbox}.>")).collect();
        for subjects in [&mut permissions.publish, &mut permissions.deny_publish] {
            subjects.sort();
            subjects.dedup();
        }
        permissions
    }
}

struct Grants<'t> {
    topology: &'t Topology,
    permissions: Permissions,
    /// Durable consumers that it may create.
    created: Vec<Consumer>,
    /// Durable consumers that it takes messages from.
    shared: Vec<Consumer>,
}

impl Grants<'_> {
    fn role(&mut self, role: Role) {
        match role {
            Role::Ingest => {
                for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Request) {
                    self.publish_stream(Stream::Events(kind));
                }
                for bucket in
                    [Bucket::Deployments, Bucket::Pods, Bucket::Namespaces, Bucket::Clusters, Bucket::Images]
                {
                    self.get(&self.topology.bucket(bucket).stream_name());
                    self.write(bucket, ">");
                }
                self.get(&self.topology.bucket(Bucket::Presence).stream_name());
                self.write(Bucket::Presence, "source.>");
                self.write(Bucket::Presence, "fellout.*");
                self.offload();
            }
            Role::Evaluator => {
                for bucket in self.topology.buckets() {
                    if !matches!(bucket.bucket, Bucket::Presence | Bucket::Jobs | Bucket::Isolation) {
                        self.read(&bucket.stream_name());
                    }
                }
                self.read_stream(Stream::Policies);
                for kind in Kind::JUDGED {
                    self.pull(Consumer::Judge(kind));
                }
                self.pull(Consumer::Retry);
                self.pull(Consumer::PolicyChanges);
                self.pull(Consumer::EvaluatorCommands);
                self.publish_stream(Stream::Verdicts);
                self.publish_stream(Stream::Parked);
                self.isolate();
                self.fetch();
                self.offload();
            }
            Role::Enforcer => {
                self.read_stream(Stream::Policies);
                self.read_stream(Stream::Receipts);
                self.pull(Consumer::Enforce);
                self.publish_stream(Stream::Receipts);
                self.isolate();
                self.fetch();
                self.offload();
            }
            Role::Admission => {
                self.read_stream(Stream::Policies);
                self.read(&self.topology.bucket(Bucket::Clusters).stream_name());
                self.get(&self.topology.bucket(Bucket::Images).stream_name());
                self.publish_stream(Stream::Events(Kind::Request));
                self.publish_stream(Stream::Verdicts);
                self.offload();
            }
            Role::Store => {
                self.create();
                self.read_results();
                for kind in Kind::ALL {
                    // Whether events are missing shows in the headers of all.
                    self.read_stream(Stream::Events(kind));
                }
                self.read_stream(Stream::DeadLetters);
                self.publish_stream(Stream::Policies);
                self.publish_stream(Stream::Admin);
                self.publish_stream(Stream::Events(Kind::Coverage));
                self.fetch();
            }
            Role::Author => {
                self.read_results();
                self.publish_stream(Stream::Policies);
                self.publish_stream(Stream::Commands);
            }
            Role::Viewer => self.read_results(),
            Role::Auditor => {
                for stream in self.topology.streams() {
                    self.read(&stream.name);
                }
                for bucket in self.topology.buckets() {
                    self.read(&bucket.stream_name());
                }
                self.fetch();
            }
            Role::Up => {
                use Role::{Admission, Auditor, Author, Enforcer, Evaluator, Ingest, Store};
                for role in [Ingest, Evaluator, Enforcer, Admission, Store, Author, Auditor] {
                    self.role(role);
                    self.beside(role);
                }
            }
        }
        self.beside(role);
    }

    /// What every process of a role does beside its work: it says that it runs, and keeps what it cannot read.
    fn beside(&mut self, role: Role) {
        if matches!(role, Role::Author | Role::Viewer | Role::Auditor | Role::Up) {
            return;
        }
        self.write(Bucket::Presence, &format!("role.{}.*", role.as_str()));
        self.publish(self.topology.dead_letters(role.as_str()));
    }

    fn publish(&mut self, subject: String) {
        self.permissions.publish.push(subject);
    }

    fn deny(&mut self, subject: String) {
        self.permissions.deny_publish.push(subject);
    }

    /// Requests of JetStream's API, such as `STREAM.INFO.<name>`.
    fn request(&mut self, what: &str) {
        self.publish(format!("$JS.API.{what}"));
    }

    /// How far streams and consumers are. Names no content.
    fn look(&mut self) {
        for name in self.every_stream() {
            self.request(&format!("STREAM.INFO.{name}"));
        }
        for spec in self.topology.consumers() {
            let stream = self.topology.stream_name(spec.stream);
            self.request(&format!("CONSUMER.INFO.{stream}.{}", spec.name));
        }
    }

    fn every_stream(&self) -> Vec<String> {
        let streams = self.topology.streams().into_iter().map(|stream| stream.name);
        let buckets = self.topology.buckets().into_iter().map(|bucket| bucket.stream_name());
        let objects =
            [self.topology.object_store(), self.topology.snapshot_store()].map(|name| format!("OBJ_{name}"));
        streams.chain(buckets).chain(objects).collect()
    }

    /// Creates what is missing, and changes nothing that is there.
    fn create(&mut self) {
        for name in self.every_stream() {
            self.request(&format!("STREAM.CREATE.{name}"));
        }
        for spec in self.topology.consumers() {
            self.create_consumer(spec.consumer);
        }
    }

    fn create_consumer(&mut self, consumer: Consumer) {
        self.created.push(consumer);
        let spec = self.topology.consumer(consumer);
        let stream = self.topology.stream_name(spec.stream);
        let filter = spec.filter.map(|filter| format!(".{filter}")).unwrap_or_default();
        self.request(&format!("CONSUMER.CREATE.{stream}.{}{filter}", spec.name));
    }

    /// Takes messages from a durable consumer and acknowledges them; creates it again when somebody deleted it.
    fn pull(&mut self, consumer: Consumer) {
        self.shared.push(consumer);
        self.create_consumer(consumer);
        let spec = self.topology.consumer(consumer);
        let (stream, name) = (self.topology.stream_name(spec.stream), spec.name);
        self.request(&format!("CONSUMER.MSG.NEXT.{stream}.{name}"));
        self.publish(format!("$JS.ACK.{stream}.{name}.>"));
        // Servers may name the domain and the account, too.
        self.publish(format!("$JS.ACK.*.*.{stream}.{name}.>"));
    }

    /// Reads single messages.
    fn get(&mut self, stream: &str) {
        self.request(&format!("STREAM.MSG.GET.{stream}"));
        self.request(&format!("DIRECT.GET.{stream}"));
        self.request(&format!("DIRECT.GET.{stream}.>"));
    }

    /// Reads from any place on, with a consumer under a name of its own.
    fn read(&mut self, stream: &str) {
        self.get(stream);
        self.request(&format!("CONSUMER.CREATE.{stream}.>"));
        self.request(&format!("CONSUMER.INFO.{stream}.*"));
        self.request(&format!("CONSUMER.MSG.NEXT.{stream}.*"));
    }

    /// Consumers that others share are not for readers: a message taken from one is missing to those whom it is for.
    /// (The request without a name in its subject is granted to nobody: it may name any of them in its body.)
    fn deny_other_shares(&mut self) {
        for spec in self.topology.consumers() {
            let (stream, name) = (self.topology.stream_name(spec.stream), spec.name);
            if !self.created.contains(&spec.consumer) {
                self.deny(format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"));
                self.deny(format!("$JS.API.CONSUMER.CREATE.{stream}.{name}.>"));
            }
            if !self.shared.contains(&spec.consumer) {
                self.deny(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"));
            }
        }
    }

    fn read_stream(&mut self, stream: Stream) {
        self.read(&self.topology.stream_name(stream));
    }

    /// What lictor concluded and did, by which policies, and who runs.
    fn read_results(&mut self) {
        for stream in [Stream::Verdicts, Stream::Receipts, Stream::Policies, Stream::Admin] {
            self.read_stream(stream);
        }
        self.read_stream(Stream::Events(Kind::Coverage));
        for bucket in [Bucket::Presence, Bucket::Jobs] {
            self.read(&self.topology.bucket(bucket).stream_name());
        }
    }

    fn publish_stream(&mut self, stream: Stream) {
        self.permissions.publish.extend(self.topology.stream(stream).subjects);
    }

    fn write(&mut self, bucket: Bucket, keys: &str) {
        let name = self.topology.bucket(bucket).name;
        self.publish(format!("$KV.{name}.{keys}"));
    }

    /// Marks lines of messages that crash processes.
    fn isolate(&mut self) {
        self.get(&self.topology.bucket(Bucket::Isolation).stream_name());
        self.write(Bucket::Isolation, ">");
    }

    /// Writes bodies that are too large for a message. None is ever replaced.
    fn offload(&mut self) {
        let bucket = self.topology.object_store();
        self.get(&format!("OBJ_{bucket}"));
        self.publish(format!("$O.{bucket}.C.*"));
        self.publish(format!("$O.{bucket}.M.*"));
    }

    /// Reads such bodies.
    fn fetch(&mut self) {
        let stream = format!("OBJ_{}", self.topology.object_store());
        self.read(&stream);
        // The client's object store names no consumers; nobody shares one here.
        self.request(&format!("CONSUMER.CREATE.{stream}"));
        self.publish(format!("$JS.FC.{stream}.>"));
    }
}
