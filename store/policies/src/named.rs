//! Policies by name: what `--policies` takes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::read::{Read, read};
use crate::shipped::Set;

/// What a name stands for: a set that ships, or a file or folder. A file named like a set is written `./default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Policies that ship.
    Shipped(Set),
    /// A file, or a folder with files below it that end in `.json`, `.yaml` or `.yml`.
    Path(PathBuf),
}

/// A file or folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Missing {
    /// The path.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Selection {
    /// What a name stands for.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Set::named(name).map_or_else(|| Self::Path(PathBuf::from(name)), Self::Shipped)
    }
}

/// Reads everything that is selected. A policy that two selections hold (by id) is read once.
///
/// # Errors
/// When a file or folder cannot be read, or a folder holds no policy file. What is wrong inside of a file is among
/// the findings.
pub fn load<'a>(selections: impl IntoIterator<Item = &'a Selection>) -> Result<Read, Missing> {
    let (mut all, mut known) = (Read::default(), HashSet::new());
    for selection in selections {
        match selection {
            Selection::Shipped(set) => {
                set.files().for_each(|(name, text)| all.add(read(&name, text), &mut known));
            }
            Selection::Path(path) => {
                for file in files(path)? {
                    let text =
                        fs::read_to_string(&file).map_err(|source| Missing { path: file.clone(), source })?;
                    all.add(read(&file.display().to_string(), &text), &mut known);
                }
            }
        }
    }
    Ok(all)
}

/// The files that a path names: itself, or those below a folder that end in `.json`, `.yaml` or `.yml`, in order.
///
/// # Errors
/// When a file or folder cannot be read, or a folder holds no such file.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Missing> {
    let missing = |source| Missing { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(missing)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(missing(io::Error::new(
            io::ErrorKind::NotFound,
            "no file here ends in .json, .yaml or .yml",
        )));
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Missing> {
    let missing = |source| Missing { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(missing)? {
        let entry = entry.map_err(missing)?;
        let path = entry.path();
        // A link to a folder above would never end.
        if entry.file_type().map_err(missing)?.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml") {
            found.push(path);
        }
    }
    Ok(())
}
