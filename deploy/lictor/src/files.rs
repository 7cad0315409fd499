//! Files and folders that the command line names.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::exit::Failure;

/// The file that a path names, or those below the folder it names that end in `.json`, `.yaml` or `.yml`, in order.
pub(crate) fn below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    found.sort();
    if found.is_empty() {
        let error = "no file here ends in .json, .yaml or .yml";
        return Err(unreadable(path)(io::Error::new(io::ErrorKind::NotFound, error)));
    }
    Ok(found)
}

/// What a file holds.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(unreadable(path))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        // A link to a folder above would never end.
        if entry.file_type().map_err(unreadable(folder))?.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml") {
            found.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::not_understood(format!("{}: {error}", path.display()))
}
