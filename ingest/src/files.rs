//! Files that people name, and folders of them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest text that is read as a whole, in bytes: manifests of a hundred thousand workloads. A device without an
/// end is longer.
pub const LONGEST_TEXT: u64 = 1 << 29;

/// Folders are read this deep.
const DEEPEST: usize = 32;

/// The file that a path names, or those below the folder it names that end in `.json`, `.yaml` or `.yml`, in order.
///
/// In a folder links to files are followed and links to folders are not, because one may lead above itself. What is
/// not a file (a device, a pipe) and what is hidden (a name that begins with a dot, such as those with which Kubernetes
/// mounts a ConfigMap) is left out.
///
/// # Errors
/// When something cannot be read, with its path, or the folder has no such file.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let metadata = fs::metadata(path).map_err(|source| FileError::new(path, source))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, 0, &mut found)?;
    found.sort();
    if found.is_empty() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no file here ends in .json, .yaml or .yml");
        return Err(FileError::new(path, source));
    }
    Ok(found)
}

/// The bytes of a file, or of a pipe.
///
/// # Errors
/// When it cannot be read, or has more than [`LONGEST_TEXT`] bytes.
pub fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    File::open(path).and_then(bytes_of).map_err(|source| FileError::new(path, source))
}

/// The bytes of a reader, such as standard input.
///
/// # Errors
/// When it cannot be read, or has more than [`LONGEST_TEXT`] bytes.
pub fn bytes_of(reader: impl Read) -> io::Result<Vec<u8>> {
    up_to(reader, LONGEST_TEXT)
}

fn up_to(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("it is longer than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// A file or folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {source}", path.display())]
pub struct FileError {
    /// Which one.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

fn collect(folder: &Path, level: usize, found: &mut Vec<PathBuf>) -> Result<(), FileError> {
    let failed = |source| FileError::new(folder, source);
    if level > DEEPEST {
        return Err(failed(io::Error::other(format!("folders nest deeper than {DEEPEST} levels"))));
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            collect(&path, level + 1, found)?;
        } else if path.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml")
            && fs::metadata(&path).is_ok_and(|metadata| metadata.is_file())
        {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_gives_its_files_and_nothing_without_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/..data")).unwrap();
        for file in ["b.yaml", "a/c.json", "a/..data/hidden.yaml", "a/readme.md"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink(root.join("b.yaml"), root.join("a/link.yml")).unwrap();
        symlink("/dev/zero", root.join("zero.yaml")).unwrap();
        symlink(root.join("gone"), root.join("gone.yaml")).unwrap();
        for link in ["one", "two", "three"] {
            symlink(root, root.join(link)).unwrap();
        }
        let found = below(root).unwrap();
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
        assert_eq!(names, ["a/c.json", "a/link.yml", "b.yaml"]);
        assert_eq!(below(&root.join("b.yaml")).unwrap(), [root.join("b.yaml")]);
        let error = below(&root.join("a/..data/none")).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_text_is_bounded() {
        assert_eq!(up_to(&b"1234"[..], 4).unwrap(), b"1234");
        let error = up_to(File::open("/dev/zero").unwrap(), 1_000).unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1000 bytes");
    }
}
