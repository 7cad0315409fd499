//! Files and folders that the command line names.

use std::io;
use std::path::{Path, PathBuf};

use lictor_ingest::files;

use crate::exit::Failure;

/// The file that a path names, or those below the folder it names.
pub(crate) fn below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    files::below(path).map_err(Failure::invalid_input)
}

/// What a file holds.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let failed =
        |error: io::Error| Failure::invalid_input(format!("cannot read `{}`: {error}", path.display()));
    utf8(files::bytes(path).map_err(Failure::invalid_input)?).map_err(failed)
}

/// What standard input holds.
pub(crate) fn stdin() -> Result<String, Failure> {
    let text = files::bytes_of(io::stdin()).and_then(utf8);
    text.map_err(|error| Failure::invalid_input(format!("cannot read stdin: {error}")))
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let invalid = |error: std::string::FromUtf8Error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8: {}", error.utf8_error()))
    };
    String::from_utf8(bytes).map_err(invalid)
}
