//! What a violation says to people: a sentence for each thing that was found.
//!
//! The pieces are StackRox's (which facts a sentence names, how numbers and lists are written), the words are not.
//! Criteria about one thing share a sentence: one for a vulnerability, a volume, an image's name. Each sentence
//! stands once, and they are sorted. What happened, for a runtime policy, comes last.

mod container;
mod event;
mod image;
mod text;
mod workload;

use lictor_wire::{ImageComponent, Port};

use crate::criterion::Leaf;
use crate::section::{Asking, Group, Section, Way};
use crate::view::{ContainerView, Element};

/// The sentences of a section that holds. Where only linking as StackRox does it lets it hold (not `exact`), each
/// criterion speaks for itself.
pub(crate) fn of_section(section: &Section, asking: Asking<'_, '_>, exact: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    section.walk(
        asking,
        |node, element| {
            let part = if exact { node.takes_part(asking, element) } else { asking.admits(&element) };
            part.is_true()
        },
        |groups, way| {
            let meets = |group: &&Group| exact || group.holds(asking.now, &way.element).is_true();
            let groups: Vec<&Group> = groups.iter().map(AsRef::as_ref).filter(meets).collect();
            Found { groups: &groups, element: way.element, place: Place::of(way) }.tell(&mut sentences);
        },
    );
    sentences.sort();
    sentences.dedup();
    sentences.extend(event::sentence(&asking.view.root.subject));
    sentences
}

/// What an element lies in.
#[derive(Debug, Clone, Copy, Default)]
struct Place<'a> {
    container: Option<ContainerView<'a>>,
    component: Option<&'a ImageComponent>,
    port: Option<&'a Port>,
}

/// An element that takes part, with the criteria that it meets.
struct Found<'s, 'a> {
    groups: &'s [&'s Group],
    element: Element<'a>,
    place: Place<'a>,
}

impl<'a> Place<'a> {
    fn of(way: &Way<'_, 'a>) -> Self {
        let above = way.above.map(Self::of).unwrap_or_default();
        match way.element {
            Element::Container(container) => Self { container: Some(container), ..above },
            Element::Component(component) => Self { component: Some(component), ..above },
            Element::Port(port) => Self { port: Some(port), ..above },
            _ => above,
        }
    }

    /// `container web`, where it has a name.
    fn container(&self) -> Option<&'a str> {
        self.container.and_then(|container| container.name)
    }

    /// ` in container web`, or nothing for an image that is judged by itself.
    fn in_container(&self) -> String {
        self.container().map(|name| format!(" in container `{name}`")).unwrap_or_default()
    }

    /// `container web's image`, or `the image` where it is judged by itself.
    fn image(&self) -> String {
        match self.container() {
            Some(name) => format!("the image of container `{name}`"),
            None => "the image".to_owned(),
        }
    }
}

impl<'a> Found<'_, 'a> {
    fn tell(&self, sentences: &mut Vec<String>) {
        if self.groups.is_empty() {
            return;
        }
        match self.element {
            Element::Root(_) => {
                sentences.extend(self.each(|group| workload::sentence(group, &self.leaf(group))));
            }
            Element::Container(_) => {
                sentences.extend(image::name(self));
                sentences.extend(self.each(|group| {
                    let leaf = self.leaf(group);
                    image::sentence(group, &leaf, self).or_else(|| container::sentence(group, &leaf, self))
                }));
            }
            Element::Env(env) => sentences.push(container::env(env, &self.place)),
            Element::Volume(volume) => sentences.push(container::volume(volume, self)),
            Element::Layer(layer) => sentences.push(image::layer(&layer, &self.place)),
            Element::Component(component) => sentences.push(image::component(component, &self.place)),
            Element::Vulnerability(vulnerability) => {
                sentences.push(image::vulnerability(vulnerability, self));
            }
            Element::Port(port) => sentences.push(workload::port(port)),
            Element::Exposure(exposure) => sentences.extend(workload::exposure(exposure, self)),
            // What happened is told once, whatever was asked about it.
            Element::Process(_) | Element::Ancestor(_) => {}
        }
    }

    fn each<'s>(
        &'s self,
        sentence: impl Fn(&Group) -> Option<String> + 's,
    ) -> impl Iterator<Item = String> + 's {
        self.groups.iter().filter_map(move |group| sentence(group))
    }

    fn leaf(&self, group: &Group) -> Leaf<'a> {
        group.criterion.leaf(&self.element)
    }

    fn asks(&self, criterion: &str) -> bool {
        self.groups.iter().any(|group| group.criterion.name == criterion)
    }
}
