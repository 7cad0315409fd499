//! What a violation says to people: a sentence for each thing that was found.
//!
//! The pieces are StackRox's (which facts a sentence names, how numbers and lists are written), the words are not.
//! A criterion's row says which sentence is its own; criteria about one thing share one: for a vulnerability, a
//! volume, an image's name. Each sentence appears once, and they are sorted. What happened, for a runtime policy,
//! comes last.

mod element;
mod event;
mod text;

use lictor_wire::{ImageComponent, Port};

use crate::criterion::{Detail, Sentence, Value};
use crate::section::{EvaluationContext, Group, Path, Section};
use crate::view::{ContainerView, Element};

/// The sentences of a section that holds. Where only linking as StackRox does it lets it hold (not `exact`), each
/// criterion speaks for itself.
pub(crate) fn of_section(section: &Section, context: EvaluationContext<'_, '_>, exact: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    section.walk(
        context,
        |node, element| {
            let part = if exact { node.takes_part(context, element) } else { context.admits(&element) };
            part.is_true()
        },
        |groups, path| {
            let meets = |group: &&Group| exact || group.holds(context.now, &path.element).is_true();
            let groups: Vec<&Group> = groups.iter().map(AsRef::as_ref).filter(meets).collect();
            Matched { groups: &groups, element: path.element, within: Within::of(path) }
                .add_to(&mut sentences);
        },
    );
    sentences.sort();
    sentences.dedup();
    sentences.extend(event::sentence(&context.view.root.input));
    sentences
}

/// What an element is in.
#[derive(Debug, Clone, Copy, Default)]
struct Within<'a> {
    container: Option<ContainerView<'a>>,
    component: Option<&'a ImageComponent>,
    port: Option<&'a Port>,
}

/// An element that takes part, with the criteria that it meets.
struct Matched<'s, 'a> {
    groups: &'s [&'s Group],
    element: Element<'a>,
    within: Within<'a>,
}

// === impl Within ===

impl<'a> Within<'a> {
    fn of(path: &Path<'_, 'a>) -> Self {
        let above = path.above.map(Self::of).unwrap_or_default();
        match path.element {
            Element::Container(container) => Self { container: Some(container), ..above },
            Element::Component(component) => Self { component: Some(component), ..above },
            Element::Port(port) => Self { port: Some(port), ..above },
            _ => above,
        }
    }

    fn container_name(&self) -> Option<&'a str> {
        self.container.and_then(|container| container.name)
    }

    /// ` in container web`, or nothing for an image that is judged by itself.
    fn in_container(&self) -> String {
        self.container_name().map(|name| format!(" in container `{name}`")).unwrap_or_default()
    }

    /// `the image of container web`, or `the image` where it is judged by itself.
    fn image(&self) -> String {
        match self.container_name() {
            Some(name) => format!("the image of container `{name}`"),
            None => "the image".to_owned(),
        }
    }

    /// A sentence's text with everything filled in that is in braces.
    fn fill(&self, text: &str, value: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(&self.slot(slot).unwrap_or_else(|| value.to_owned()));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// What is put where a slot of this name is; none for the slot of the value.
    fn slot(&self, name: &str) -> Option<String> {
        let process = || self.container.and_then(|container| container.process);
        let image_name = || self.container.and_then(|container| container.image_name);
        Some(match name {
            "container" => format!("container `{}`", self.container_name().unwrap_or_default()),
            "image" => self.image(),
            "digest" => image_name().map(|name| name.digest.clone()).unwrap_or_default(),
            "process" => process().map(|process| process.name.clone()).unwrap_or_default(),
            "protocol" => self.port.map(|port| port.protocol.clone()).unwrap_or_default(),
            _ => return None,
        })
    }
}

// === impl Matched ===

impl<'a> Matched<'_, 'a> {
    fn add_to(&self, sentences: &mut Vec<String>) {
        let mut of_image_name = Vec::new();
        let mut of_element = false;
        for group in self.groups {
            let found = group.criterion.value(&self.element);
            let value = text::value(&group.predicate, &found);
            let within = &self.within;
            match group.criterion.sentence {
                Sentence::Always(text) => sentences.push(within.fill(text, &value)),
                Sentence::YesNo(yes, no) => {
                    sentences.push(within.fill(if found == Value::Bool(true) { yes } else { no }, &value));
                }
                Sentence::ByName(text, words) => {
                    let words = words.iter().find(|(name, _)| *name == value);
                    sentences.push(within.fill(text, words.map_or(&*value, |(_, words)| *words)));
                }
                Sentence::ByCount { none, one, several } => {
                    let text = match text::items(&group.predicate, &found).len() {
                        0 => none,
                        1 => one,
                        _ => several,
                    };
                    sentences.push(within.fill(text, &value));
                }
                Sentence::ImageName { part, empty } => {
                    of_image_name.push(within.fill(if value.is_empty() { empty } else { part }, &value));
                }
                Sentence::Element | Sentence::ElementWith(_) => of_element = true,
                // What happened is said once, whatever criteria are about it.
                Sentence::Event => {}
            }
        }
        if !of_image_name.is_empty() {
            of_image_name.sort();
            sentences.push(format!("{} has {}", self.within.image(), text::list(&of_image_name)));
        }
        if of_element {
            sentences.extend(element::sentence(self));
        }
    }

    /// Whether a criterion is about a detail.
    fn is_about(&self, detail: Detail) -> bool {
        let about = |sentence| matches!(sentence, Sentence::ElementWith(of) if of == detail);
        self.groups.iter().any(|group| about(group.criterion.sentence))
    }
}
