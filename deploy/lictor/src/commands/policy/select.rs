//! What `--policies` takes: the built-in sets, files, and folders of files.

use std::borrow::Cow;

use lictor_policies::{Read, Set};

use crate::exit::Failure;
use crate::files;

/// Reads all that is named. A file that is called like a set is written `./default`.
pub(super) fn read(names: &[String]) -> Result<Read, Failure> {
    Ok(lictor_policies::read_all(texts(names)?))
}

/// The same, for what is done with the policies. Files that say nothing are a mistake; a list that has no policies may
/// be meant, and is only warned of.
pub(super) fn read_some(names: &[String]) -> Result<Read, Failure> {
    let texts = texts(names)?;
    if !names.is_empty() && texts.iter().all(|(_, text)| says_nothing(text)) {
        let failure = Failure::invalid_input(format!("there is no policy in {}", quoted(names)));
        return Err(failure.hint("a file without policies, on purpose, is `policies: []`"));
    }
    Ok(lictor_policies::read_all(texts))
}

type Text = (String, Cow<'static, str>);

fn texts(names: &[String]) -> Result<Vec<Text>, Failure> {
    let mut texts = Vec::new();
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
    Ok(texts)
}

/// Whether a text has blank lines, comments and ends of documents only.
fn says_nothing(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn files_that_say_nothing_are_a_mistake_and_an_empty_list_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let blank = named("blank.yaml", "# nothing yet\n---\n\n");
        let list = named("list.json", "{\"policies\":[]}");
        for names in [vec![blank.clone()], vec!["/dev/null".to_owned()], vec![blank.clone(), blank.clone()]] {
            let failure = read_some(&names).unwrap_err();
            assert_eq!(failure.exit, Exit::InvalidInput, "{names:?}");
            assert!(failure.message.starts_with("there is no policy in `"), "{}", failure.message);
        }
        let read = read_some(&[list]).unwrap();
        assert_eq!((read.seen, read.findings[0].code), (0, "empty"));
        assert!(read_some(&[blank, "default".to_owned()]).unwrap().seen > 0);
        assert_eq!(read_some(&[]).unwrap().seen, 0);
    }
}
