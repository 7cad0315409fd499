//! Extractors: from a typed element to the value that a criterion compares.

pub(super) mod container;
pub(super) mod event;
pub(super) mod image;
pub(super) mod workload;

use lictor_wire::{Ancestor, EnvVar, Exposure, ImageComponent, Port, ProcessEvent, Volume, Vulnerability};

use super::value::Value;
use crate::view::{ContainerView, Element, LayerView, Level, Root};

/// Takes a value from an element; the kind of element is the criterion's level in the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extract {
    Root(for<'a> fn(&Root<'a>) -> Value<'a>),
    Container(for<'a> fn(&ContainerView<'a>) -> Value<'a>),
    Env(for<'a> fn(&'a EnvVar) -> Value<'a>),
    Volume(for<'a> fn(&'a Volume) -> Value<'a>),
    Layer(for<'a> fn(&LayerView<'a>) -> Value<'a>),
    Component(for<'a> fn(&'a ImageComponent) -> Value<'a>),
    Vulnerability(for<'a> fn(&'a Vulnerability) -> Value<'a>),
    Process(for<'a> fn(&'a ProcessEvent) -> Value<'a>),
    Ancestor(for<'a> fn(&'a Ancestor) -> Value<'a>),
    Port(for<'a> fn(&'a Port) -> Value<'a>),
    Exposure(for<'a> fn(&'a Exposure) -> Value<'a>),
}

impl Extract {
    /// The criterion's level in the tree.
    pub(crate) const fn level(self) -> Level {
        match self {
            Self::Root(_) => Level::Root,
            Self::Container(_) => Level::Container,
            Self::Env(_) => Level::Env,
            Self::Volume(_) => Level::Volume,
            Self::Layer(_) => Level::Layer,
            Self::Component(_) => Level::Component,
            Self::Vulnerability(_) => Level::Vulnerability,
            Self::Process(_) => Level::Process,
            Self::Ancestor(_) => Level::Ancestor,
            Self::Port(_) => Level::Port,
            Self::Exposure(_) => Level::Exposure,
        }
    }

    /// The value; null for an element of another level.
    pub(crate) fn value<'a>(self, element: &Element<'a>) -> Value<'a> {
        match (self, element) {
            (Self::Root(take), Element::Root(root)) => take(root),
            (Self::Container(take), Element::Container(container)) => take(container),
            (Self::Env(take), Element::Env(env)) => take(env),
            (Self::Volume(take), Element::Volume(volume)) => take(volume),
            (Self::Layer(take), Element::Layer(layer)) => take(layer),
            (Self::Component(take), Element::Component(component)) => take(component),
            (Self::Vulnerability(take), Element::Vulnerability(vulnerability)) => take(vulnerability),
            (Self::Process(take), Element::Process(process)) => take(process),
            (Self::Ancestor(take), Element::Ancestor(ancestor)) => take(ancestor),
            (Self::Port(take), Element::Port(port)) => take(port),
            (Self::Exposure(take), Element::Exposure(exposure)) => take(exposure),
            _ => Value::Missing,
        }
    }
}
