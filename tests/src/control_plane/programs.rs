//! Finding and running the programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::stop;

/// Names the folder that holds the programs, as Kubernetes' own test tools have it.
const FOLDER_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Runs a program until its own standard input ends: when the harness is dropped, and when the process of the test
/// dies in whatever way.
const UNTIL_INPUT_ENDS: &str = r#"exec 3<&0; "$@" </dev/null 3<&- & read -r line <&3; kill -9 $!; wait $!"#;

/// A running program; killed on drop.
#[derive(Debug)]
pub(super) struct Program(Child);

impl Program {
    /// Starts a program in a folder, its log beside its files.
    pub(super) fn start(folder: &Path, name: &str, arguments: &[String]) -> Self {
        let log = || File::create(folder.join(format!("{name}.log")));
        let started = log().and_then(|log| {
            Command::new("sh")
                .args(["-c", UNTIL_INPUT_ENDS, "sh"])
                .arg(program(name))
                .args(arguments)
                .current_dir(folder)
                .stdin(Stdio::piped())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
        });
        Self(started.unwrap_or_else(|error| stop(&format!("cannot run {name}: {error}"))))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Fails only when it is gone already.
        let _ = self.0.wait();
    }
}

/// Where a program lies.
pub(super) fn program(name: &str) -> PathBuf {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else {
        stop(&format!(
            "this test needs etcd, kube-apiserver, kube-controller-manager and kubectl in the folder named by \
             {FOLDER_VARIABLE}: `make test` builds them and sets it"
        ));
    };
    let path = Path::new(&folder).join(name);
    if !path.exists() {
        stop(&format!(
            "there is no `{}`; unset {FOLDER_VARIABLE}, and `make test` builds all that is needed",
            path.display()
        ));
    }
    path
}

/// The end of a program's log.
pub(super) fn last_lines(folder: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n  ")
}
