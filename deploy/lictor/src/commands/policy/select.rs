//! What `--policies` takes: the built-in sets, files, and folders of files.

use std::borrow::Cow;

use lictor_policies::{Read, Set};

use crate::exit::Failure;
use crate::files;

/// Reads all that is named. A file that is called like a set is written `./default`.
pub(super) fn read(names: &[String]) -> Result<Read, Failure> {
    let mut texts: Vec<(String, Cow<'static, str>)> = Vec::new();
    for name in names {
        if let Some(set) = Set::named(name) {
            texts.extend(set.files().map(|(name, text)| (name, Cow::Borrowed(text))));
            continue;
        }
        let hint = || {
            let sets: Vec<&str> = Set::ALL.iter().map(|set| set.as_str()).collect();
            format!("name a file, a folder, or one of {}", sets.join(", "))
        };
        for file in files::below(name.as_ref()).map_err(|failure| failure.hint(hint()))? {
            texts.push((file.display().to_string(), files::text(&file)?.into()));
        }
    }
    Ok(lictor_policies::read_all(texts))
}
