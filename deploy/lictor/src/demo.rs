//! The demo: a small shop under attack, in the formats real clusters write.
//!
//! The files carry times as `{{t+83.25}}`: seconds after the start of the story. They are embedded in the program
//! and written out with real times when the demo starts, so that what happened is recent, as guards expect.

use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

/// How long the story lasts, in seconds, with a little more: it ends just before now.
const STORY: i64 = 305;

/// The files, by the path they are written to.
const FILES: [(&str, &str); 10] = [
    ("manifests/namespaces.yaml", include_str!("../demo/manifests/namespaces.yaml")),
    ("manifests/shop-frontend.yaml", include_str!("../demo/manifests/shop-frontend.yaml")),
    ("manifests/shop-backend.yaml", include_str!("../demo/manifests/shop-backend.yaml")),
    ("manifests/payments.yaml", include_str!("../demo/manifests/payments.yaml")),
    ("manifests/kube-system.yaml", include_str!("../demo/manifests/kube-system.yaml")),
    ("manifests/cluster-state.yaml", include_str!("../demo/manifests/cluster-state.yaml")),
    ("audit.log", include_str!("../demo/audit.log")),
    ("tetragon.json", include_str!("../demo/tetragon.json")),
    ("late/debug-toolbox.yaml", include_str!("../demo/late/debug-toolbox.yaml")),
    ("policies.json", include_str!("../demo/policies.json")),
];

/// The demo's files with real times, in a folder.
#[derive(Debug)]
pub struct Demo {
    folder: PathBuf,
}

/// Why the demo's files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file could not be written.
    #[error("`{path}` cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A placeholder of the demo's own files is wrong.
    #[error("`{file}` has the placeholder `{placeholder}`, which is not a point in time of the demo")]
    Placeholder {
        /// The file.
        file: &'static str,
        /// The placeholder.
        placeholder: String,
    },
}

impl Demo {
    /// Writes the files under `folder`, so that the story ends at `now`.
    ///
    /// # Errors
    /// See [`DemoError`].
    pub fn write_files(folder: &Path, now: Timestamp) -> Result<Self, DemoError> {
        let start = now.checked_sub(SignedDuration::from_secs(STORY)).unwrap_or(now);
        for (name, template) in FILES {
            let path = folder.join(name);
            let unwritable = |source| DemoError::Write { path: path.clone(), source };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(unwritable)?;
            }
            std::fs::write(&path, fill(name, template, start)?).map_err(unwritable)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Objects that exist from the start: workloads, pods, namespaces.
    pub fn manifests(&self) -> PathBuf {
        self.folder.join("manifests")
    }

    /// Objects that are added after everything else.
    pub fn late_manifests(&self) -> PathBuf {
        self.folder.join("late")
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// The sensor's export.
    pub fn tetragon(&self) -> PathBuf {
        self.folder.join("tetragon.json")
    }

    /// The policies.
    pub fn policies(&self) -> PathBuf {
        self.folder.join("policies.json")
    }
}

/// Replaces every placeholder by its time, with as many decimals as the placeholder has.
fn fill(file: &'static str, template: &str, start: Timestamp) -> Result<String, DemoError> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{t+") {
        let (offset, after) = after.split_once("}}").unwrap_or((after, ""));
        let time = time_at(start, offset)
            .ok_or_else(|| DemoError::Placeholder { file, placeholder: offset.chars().take(40).collect() })?;
        text.push_str(before);
        text.push_str(&time);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

fn time_at(start: Timestamp, offset: &str) -> Option<String> {
    let (seconds, decimals) = offset.split_once('.').unwrap_or((offset, ""));
    if decimals.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{decimals:0<9}").parse().ok()?;
    let time = start.checked_add(SignedDuration::new(seconds.parse().ok()?, nanoseconds)).ok()?;
    Some(format!("{time:.*}", decimals.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_decimals_of_their_placeholder() {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let filled = fill("x", "a {{t+3}} b {{t+83.25}} c {{t+0.000000001}}", start).unwrap();
        assert_eq!(
            filled,
            "a 2026-01-01T00:00:03Z b 2026-01-01T00:01:23.25Z c 2026-01-01T00:00:00.000000001Z"
        );
    }

    #[test]
    fn a_wrong_placeholder_is_named() {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(matches!(fill("x", "{{t+soon}}", start), Err(DemoError::Placeholder { .. })));
    }

    #[test]
    fn every_file_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let demo = Demo::write_files(folder.path(), "2026-01-01T00:05:05Z".parse().unwrap()).unwrap();
        for (name, _) in FILES {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(!text.contains("{{"), "{name}");
        }
        assert!(demo.late_manifests().is_dir());
    }
}
