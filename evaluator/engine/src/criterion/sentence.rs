//! What a violation says about what a criterion found.

/// The sentence of a criterion. Its text has, in braces, `value`: what was found; `container` and `image`: where;
/// `process`: the name of the process that ran in the container; `protocol`: of the port; `digest`: of the image.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sentence {
    /// The same whatever was found.
    Always(&'static str),
    /// One for yes, one for no.
    YesNo(&'static str, &'static str),
    /// The name of an enum's value is put into words first: a text, and names with their words.
    ByName(&'static str, &'static [(&'static str, &'static str)]),
    /// By the number of items that were found.
    ByCount {
        /// None.
        none: &'static str,
        /// One.
        one: &'static str,
        /// More.
        several: &'static str,
    },
    /// A part of the one sentence about an image's name.
    ImageName {
        /// The part.
        part: &'static str,
        /// The part when the value is empty.
        empty: &'static str,
    },
    /// The element's: one sentence for a volume, a package, a vulnerability, …, whichever criteria are about it.
    Element,
    /// The element's, with a detail that it leaves out otherwise.
    ElementWith(Detail),
    /// The event's: one sentence for what happened, whichever criteria are about it.
    Event,
}

/// What the sentence about an element says only when a criterion is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// The version that fixes a vulnerability.
    Fix,
    /// A vulnerability's score by the NVD.
    NvdScore,
    /// How mounts of a volume spread.
    MountPropagation,
}
