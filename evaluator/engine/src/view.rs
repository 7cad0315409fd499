//! The input as a tree of elements, so that criteria can be tied together at the lists they share.
//!
//! The root holds containers and ports; a container holds environment variables, volumes, its image's layers and
//! components, and the process that ran in it; and so on, as [`Level`] says. Everything is borrowed from the
//! input. What is not known is an element or a list that says which fact is missing.

use lictor_wire::policy::FilteredContainerType;
use lictor_wire::{
    Ancestor, Container, ContainerImage, ContainerRef, ContainerType, Deployment, EnvVar, Exposure,
    FileEvent, ImageComponent, ImageFacts, ImageLayer, ImageName, Port, ProcessEvent, Volume, Vulnerability,
};

use crate::input::{Input, Occurrence};
use crate::truth::{Fact, Truth};

/// What BuildKit writes behind a line of history, and before the command of a `RUN`.
const BUILDKIT_MARK: &str = " # buildkit";
const SHELL: &str = "/bin/sh -c ";

/// A kind of element. Two criteria are tied together exactly at the levels above both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The input itself.
    Root,
    /// A container; for an image judged by itself, there is one for each of its names.
    Container,
    /// An environment variable of a container.
    Env,
    /// A mounted volume of a container.
    Volume,
    /// A line of the history of a container's image.
    Layer,
    /// A package in a container's image.
    Component,
    /// A vulnerability of a package.
    Vulnerability,
    /// The process of the event, in its container; in a section about files, of the file event.
    Process,
    /// A process it descends from.
    Ancestor,
    /// A port of the workload. Ports are not tied to containers.
    Port,
    /// A way in which a port is reached.
    Exposure,
}

/// One element.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element<'a> {
    Root(Root<'a>),
    Container(ContainerView<'a>),
    Env(&'a EnvVar),
    Volume(&'a Volume),
    Layer(LayerView<'a>),
    Component(&'a ImageComponent),
    Vulnerability(&'a Vulnerability),
    Process(&'a ProcessEvent),
    Ancestor(&'a Ancestor),
    Port(&'a Port),
    Exposure(&'a Exposure),
}

/// The elements of one level below another.
pub(crate) enum Elements<'a> {
    /// All of them.
    Known(Vec<Element<'a>>),
    /// Nobody knows which there are.
    Unknown(Fact<'a>),
}

/// The input itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root<'a> {
    /// The input, with the workload of an admission review in its place.
    pub(crate) input: Input<'a>,
    /// The workload, where it is known.
    pub(crate) deployment: Option<&'a Deployment>,
}

/// A container, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContainerView<'a> {
    /// Its name; `None` when not known.
    pub(crate) name: Option<&'a str>,
    /// Its model; `None` when not known.
    pub(crate) model: Option<&'a Container>,
    /// The reference of its image; `None` when not known.
    pub(crate) image_name: Option<&'a ImageName>,
    /// Facts about its image; `None` when not known.
    pub(crate) image: Option<&'a ImageFacts>,
    /// The process of the event, when it ran in this container.
    pub(crate) process: Option<&'a ProcessEvent>,
    /// Whether that process departs from the workload's baseline; `None` when not known.
    pub(crate) deviates: Option<bool>,
    /// What is missing where something of the above is.
    pub(crate) missing: Fact<'a>,
}

/// A line of an image's history, as the builder recorded it or as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerView<'a> {
    /// Dockerfile instruction.
    pub(crate) instruction: &'a str,
    /// The rest of the line.
    pub(crate) value: &'a str,
}

/// An input ready to be evaluated: the tree's root and its containers.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) root: Root<'a>,
    /// Whether it is seen as StackRox sees it.
    parity: bool,
    containers: Result<Vec<ContainerView<'a>>, Fact<'a>>,
    /// The container a process ran in is not in the workload's model.
    stray_process: bool,
}

// === impl View ===

impl<'a> View<'a> {
    /// Lays out the tree of `input`; under `parity` as StackRox sees it.
    pub(crate) fn new(input: &Input<'a>, parity: bool) -> Self {
        let deployment = match input.occurrence {
            Occurrence::Request(event) => input.deployment.or(event.deployment.as_deref()),
            _ => input.deployment,
        };
        let input = Input { deployment, ..*input };
        let root = Root { input, deployment };
        let process = match input.occurrence {
            Occurrence::Process(event) => Some(event),
            _ => None,
        };
        let mut stray_process = false;
        let mut containers = match (input.occurrence, deployment) {
            (Occurrence::Image(facts), _) => Ok(image_containers(facts)),
            (_, Some(deployment)) => {
                let mut containers = model_containers(&input, deployment);
                if let Some(process) = process {
                    let home = container_name(process.container.as_ref());
                    match containers.iter_mut().find(|c| !home.is_empty() && c.name == Some(home)) {
                        Some(container) => container.process = Some(process),
                        None => {
                            stray_process = true;
                            let missing = Fact::Container(home);
                            containers.push(unknown_container(process, missing));
                        }
                    }
                }
                Ok(containers)
            }
            // Without the workload the process' own container is still known to exist, and no other can hold it.
            (_, None) => match process {
                Some(process) => Ok(vec![unknown_container(process, Fact::Deployment)]),
                None => Err(Fact::Deployment),
            },
        };
        for container in containers.iter_mut().flatten().filter(|container| container.process.is_some()) {
            container.deviates = input.deviates;
        }
        Self { root, parity, containers, stray_process }
    }

    /// The tree of the process alone, as if nothing were known of its workload.
    pub(crate) fn of_process(view: &Self) -> Self {
        Self::new(&Input { deployment: None, images: &[], ..view.root.input }, view.parity)
    }

    /// The tree with only the containers that `keep` wants; `None` when it wants none.
    pub(crate) fn retaining(&self, keep: impl Fn(&ContainerView<'a>) -> bool) -> Option<Self> {
        let mut view = self.clone();
        if let Ok(containers) = &mut view.containers {
            containers.retain(keep);
            if containers.is_empty() {
                return None;
            }
        }
        Some(view)
    }

    /// Whether the process ran in a container that the workload does not have, or that is left out.
    pub(crate) fn process_is_lost(&self, skipped: &[FilteredContainerType]) -> bool {
        let home = self.containers.iter().flatten().find(|container| container.process.is_some());
        self.stray_process || home.is_some_and(|home| home.admitted(skipped).is_false())
    }

    /// The tree's root.
    pub(crate) fn root(&self) -> Element<'a> {
        Element::Root(self.root)
    }

    /// The elements of `level` right below `parent`.
    pub(crate) fn below(&self, parent: Element<'a>, level: Level) -> Elements<'a> {
        match (parent, level) {
            (Element::Root(_), Level::Container) => match &self.containers {
                Ok(containers) => Elements::of(containers.iter().copied().map(Element::Container)),
                Err(fact) => Elements::Unknown(*fact),
            },
            (Element::Root(root), Level::Port) => match root.deployment {
                Some(deployment) => Elements::of(deployment.ports.iter().map(Element::Port)),
                None => Elements::Unknown(Fact::Deployment),
            },
            (Element::Root(root), Level::Process) => match root.input.occurrence {
                Occurrence::File(FileEvent { process: Some(process), .. }) => {
                    Elements::of([Element::Process(process)])
                }
                Occurrence::File(_) => Elements::Unknown(Fact::FileProcess),
                _ => Elements::none(),
            },
            (Element::Container(container), level) => container.below(level, self.parity),
            (Element::Component(component), Level::Vulnerability) => {
                Elements::of(component.vulnerabilities.iter().map(Element::Vulnerability))
            }
            (Element::Process(process), Level::Ancestor) => {
                Elements::of(process.ancestors.iter().map(Element::Ancestor))
            }
            (Element::Port(port), Level::Exposure) => {
                Elements::of(port.exposure_infos.iter().map(Element::Exposure))
            }
            _ => Elements::none(),
        }
    }
}

fn container_name(container: Option<&ContainerRef>) -> &str {
    container.map_or("", |container| container.name.as_str())
}

fn model_containers<'a>(input: &Input<'a>, deployment: &'a Deployment) -> Vec<ContainerView<'a>> {
    let containers = deployment.containers.iter().enumerate();
    containers
        .map(|(index, model)| ContainerView {
            name: Some(&model.name),
            model: Some(model),
            image_name: Some(&model.image.name),
            image: input.images.get(index).copied().flatten(),
            process: None,
            deviates: None,
            missing: Fact::Image(image_label(&model.image)),
        })
        .collect()
}

fn image_containers(facts: &ImageFacts) -> Vec<ContainerView<'_>> {
    let under = |image_name| ContainerView {
        name: None,
        model: None,
        image_name,
        image: Some(facts),
        process: None,
        deviates: None,
        missing: Fact::Image(&facts.digest),
    };
    if facts.names.is_empty() {
        return vec![under(None)];
    }
    facts.names.iter().map(|name| under(Some(name))).collect()
}

fn unknown_container<'a>(process: &'a ProcessEvent, missing: Fact<'a>) -> ContainerView<'a> {
    let name = container_name(process.container.as_ref());
    ContainerView {
        name: (!name.is_empty()).then_some(name),
        model: None,
        image_name: None,
        image: None,
        process: Some(process),
        deviates: None,
        missing,
    }
}

fn image_label(image: &ContainerImage) -> &str {
    if image.id.is_empty() { &image.name.full_name } else { &image.id }
}

// === impl ContainerView ===

impl<'a> ContainerView<'a> {
    /// Whether an evaluation filter lets it be looked at.
    pub(crate) fn admitted(&self, skipped: &[FilteredContainerType]) -> Truth<'a> {
        if skipped.is_empty() {
            return Truth::True;
        }
        let Some(model) = self.model else { return Truth::unknown(self.missing) };
        let skip = match model.container_type {
            ContainerType::Regular => skipped.contains(&FilteredContainerType::Regular),
            ContainerType::Init => skipped.contains(&FilteredContainerType::Init),
            ContainerType::Ephemeral => false,
        };
        Truth::from(!skip)
    }

    /// Its image as it is named when facts are missing.
    pub(crate) fn image_label(&self) -> &'a str {
        match (self.image, self.model) {
            (Some(facts), _) if !facts.digest.is_empty() => &facts.digest,
            (_, Some(model)) => image_label(&model.image),
            _ => self.image_name.map_or("", |name| name.full_name.as_str()),
        }
    }

    fn below(&self, level: Level, parity: bool) -> Elements<'a> {
        match level {
            Level::Process => Elements::of(self.process.map(Element::Process)),
            Level::Env => match self.model {
                Some(model) => Elements::of(model.config.env.iter().map(Element::Env)),
                None => Elements::Unknown(self.missing),
            },
            Level::Volume => match self.model {
                Some(model) => Elements::of(model.volumes.iter().map(Element::Volume)),
                None => Elements::Unknown(self.missing),
            },
            Level::Layer => match self.image.map(|image| image.metadata.as_ref()) {
                Some(Some(metadata)) => {
                    let layers = metadata.layers.iter();
                    let layers = layers.flat_map(|layer| LayerView::of(layer, parity));
                    Elements::of(layers.map(Element::Layer))
                }
                Some(None) => Elements::Unknown(Fact::ImageMetadata(self.image_label())),
                None => Elements::Unknown(self.missing),
            },
            Level::Component => match self.image.map(|image| image.scan.as_ref()) {
                Some(Some(scan)) => Elements::of(scan.components.iter().map(Element::Component)),
                Some(None) => Elements::Unknown(Fact::ImageScan(self.image_label())),
                None => Elements::Unknown(self.missing),
            },
            _ => Elements::none(),
        }
    }
}

// === impl LayerView ===

impl<'a> LayerView<'a> {
    /// The line as it was recorded; and as it was written, where BuildKit recorded it with its shell before it and
    /// its mark behind it, unless in parity: StackRox has the recorded one alone.
    fn of(layer: &'a ImageLayer, parity: bool) -> impl Iterator<Item = Self> {
        let recorded = Self { instruction: &layer.instruction, value: &layer.value };
        let written = recorded.value.strip_suffix(BUILDKIT_MARK).filter(|_| !parity).map(|value| {
            // Build arguments come before the shell: `|1 VERSION=2 /bin/sh -c make`.
            let shell = if value.starts_with('|') {
                value.find(SHELL)
            } else {
                value.find(SHELL).filter(|at| *at == 0)
            };
            let value = shell.and_then(|at| value.get(at + SHELL.len()..)).unwrap_or(value);
            Self { value, ..recorded }
        });
        std::iter::once(recorded).chain(written)
    }
}

// === impl Elements ===

impl<'a> Elements<'a> {
    fn of(elements: impl IntoIterator<Item = Element<'a>>) -> Self {
        Self::Known(elements.into_iter().collect())
    }

    const fn none() -> Self {
        Self::Known(Vec::new())
    }
}

// === impl Level ===

impl Level {
    /// The level right above; of [`Level::Process`] the one in a section that is not about files.
    pub(crate) const fn above(self) -> Option<Self> {
        match self {
            Self::Root => None,
            Self::Container | Self::Port => Some(Self::Root),
            Self::Env | Self::Volume | Self::Layer | Self::Component | Self::Process => Some(Self::Container),
            Self::Vulnerability => Some(Self::Component),
            Self::Ancestor => Some(Self::Process),
            Self::Exposure => Some(Self::Port),
        }
    }
}
