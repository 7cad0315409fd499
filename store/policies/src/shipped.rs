//! The policies that ship.

use include_dir::{Dir, include_dir};

static DEFAULT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/default");
static BASELINE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/pod-security/baseline");
static RESTRICTED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/pod-security/restricted");

lictor_wire::named_enum! {
    /// A built-in set of policies; the names are those that `--policies` takes.
    pub enum Set {
        /// The default policies of StackRox: same ids, names, criteria and exclusions.
        Default = "default",
        /// The baseline level of the Pod Security Standards, as far as the language can say it.
        PodSecurityBaseline = "pod-security-baseline",
        /// The restricted level, which includes the baseline.
        PodSecurityRestricted = "pod-security-restricted",
    }
}

impl Set {
    /// The set of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.as_str() == name)
    }

    /// Its files, by name: path and text.
    pub fn files(self) -> impl Iterator<Item = (String, &'static str)> {
        let baseline = ("pod-security/baseline", &BASELINE);
        let folders = match self {
            Self::Default => vec![("default", &DEFAULT)],
            Self::PodSecurityBaseline => vec![baseline],
            Self::PodSecurityRestricted => vec![baseline, ("pod-security/restricted", &RESTRICTED)],
        };
        folders.into_iter().flat_map(|(folder, files)| {
            let texts = files.files().filter_map(|file| Some((file.path(), file.contents_utf8()?)));
            texts.map(move |(path, text)| (format!("{folder}/{}", path.display()), text))
        })
    }
}
