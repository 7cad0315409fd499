//! Finding and running the programs, so that neither they nor their folder outlive the process of the test.
//!
//! What tells a guard that a test is over is the end of a pipe: the system closes it whatever the test died of. A guard
//! hears nothing else, since what a terminal sends to a test reaches its guards too.

use std::fs::File;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::processes::stop;

/// Names the folder that holds the programs, as Kubernetes' own test tools have it.
const FOLDER_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// Runs a program until the shell's own standard input ends; when the program ends by itself, so does the shell, with
/// its status. The program keeps the shell's standard output open, which says that the folder is in use, and writes to
/// its standard error.
const UNTIL_INPUT_ENDS: &str = r#"
    trap '' HUP INT QUIT TERM
    exec 3<&0
    "$@" </dev/null 3<&- 4>&1 >&2 & program=$!
    { read -r line; kill -9 $program; } <&3 2>/dev/null & watch=$!
    wait $program; status=$?
    kill -9 $watch 2>/dev/null
    exit $status"#;

/// Removes a folder once nobody holds the other end of the shell's standard input.
const REMOVE_AFTER_USE: &str = r#"
    trap '' HUP INT QUIT TERM
    while read -r line; do :; done
    rm -rf -- "$0""#;

/// A temporary folder, removed as soon as it is dropped and every program started in it has ended.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    in_use: Option<PipeWriter>,
    remover: Child,
}

/// A running program; killed on drop.
#[derive(Debug)]
pub(super) struct Program(Child);

impl Folder {
    /// Makes a folder whose name starts with `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        let made = || {
            let (ended, in_use) = std::io::pipe()?;
            let directory = TempDir::with_prefix(prefix)?;
            let remover = Command::new("sh")
                .args(["-c", REMOVE_AFTER_USE])
                .arg(directory.path())
                .stdin(ended)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            Ok(Self { path: directory.keep(), in_use: Some(in_use), remover })
        };
        made().unwrap_or_else(|error: std::io::Error| stop(&format!("no temporary folder: {error}")))
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What keeps the folder in use as long as somebody holds it.
    fn use_it(&self) -> std::io::Result<Stdio> {
        self.in_use.as_ref().map_or_else(|| Ok(Stdio::null()), |in_use| Ok(in_use.try_clone()?.into()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.in_use.take());
        // Fails only when it is gone already.
        let _ = self.remover.wait();
    }
}

impl Program {
    /// Starts one of the programs in a folder, its log beside its files.
    pub(super) fn start(folder: &Folder, name: &str, arguments: &[String]) -> Self {
        Self::start_at(folder, name, &program(name), arguments)
    }

    fn start_at(folder: &Folder, name: &str, program: &Path, arguments: &[String]) -> Self {
        let started = || {
            Command::new("sh")
                .args(["-c", UNTIL_INPUT_ENDS, "sh"])
                .arg(program)
                .args(arguments)
                .current_dir(folder.path())
                .stdin(Stdio::piped())
                .stdout(folder.use_it()?)
                .stderr(File::create(folder.path().join(format!("{name}.log")))?)
                .spawn()
        };
        Self(started().unwrap_or_else(|error| stop(&format!("cannot run {name}: {error}"))))
    }

    /// Whether it has ended by itself.
    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    /// Says its process id, then outlives every signal that can be outlived.
    const STUBBORN: &str =
        "trap '' HUP INT QUIT TERM; echo $$ >started; mv started pid; while :; do sleep 1; done";

    /// Makes the test below the process that is ended.
    const VICTIM_VARIABLE: &str = "LICTOR_TESTS_VICTIM";

    fn shell(folder: &Folder, script: &str) -> Program {
        Program::start_at(folder, "script", Path::new("sh"), &["-c".to_owned(), script.to_owned()])
    }

    /// The directory of a stubborn program in `/proc`, once it runs.
    fn stubborn(folder: &Path) -> PathBuf {
        eventually("it starts", || folder.join("pid").exists());
        Path::new("/proc").join(std::fs::read_to_string(folder.join("pid")).unwrap().trim())
    }

    fn send(signal: &str, to: &str) {
        assert!(Command::new("kill").args(["-s", signal, "--", to]).status().unwrap().success());
    }

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn nothing_stays_however_the_process_of_a_test_ends() {
        if std::env::var_os(VICTIM_VARIABLE).is_some() {
            let folder = Folder::new("lictor-programs-");
            let _programs = [shell(&folder, STUBBORN), shell(&folder, "exec sleep 1000")];
            stubborn(folder.path());
            println!("\nfolder {}", folder.path().display());
            std::thread::sleep(Duration::from_secs(60));
            panic!("nobody ended this process");
        }
        for (signal, group) in [("KILL", false), ("INT", true), ("HUP", true), ("TERM", true)] {
            let mut victim = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture"])
                .arg("control_plane::programs::tests::nothing_stays_however_the_process_of_a_test_ends")
                .env(VICTIM_VARIABLE, "")
                // A group of its own, as a test run from a terminal has.
                .process_group(0)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
            let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).unwrap();
            let process = stubborn(&folder);
            assert!(process.exists());
            send(signal, &format!("{}{}", if group { "-" } else { "" }, victim.id()));
            assert!(!victim.wait().unwrap().success());
            eventually(signal, || !process.exists());
            eventually(signal, || !folder.exists());
        }
    }

    #[test]
    fn a_terminal_ends_neither_guard_nor_folder() {
        let folder = Folder::new("lictor-programs-");
        let mut program = shell(&folder, STUBBORN);
        let process = stubborn(folder.path());
        for signal in ["HUP", "INT", "QUIT", "TERM"] {
            send(signal, &program.0.id().to_string());
            send(signal, &folder.remover.id().to_string());
        }
        assert!(!program.ended() && process.exists() && folder.path().exists());
        drop(program);
        assert!(!process.exists());
        let path = folder.path().to_owned();
        assert!(path.exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_program_that_ends_by_itself_is_noticed_and_its_last_words_can_be_read() {
        let folder = Folder::new("lictor-programs-");
        let mut program = shell(&folder, "echo out; echo why >&2; exit 7");
        eventually("it is noticed", || program.ended());
        assert_eq!(program.0.wait().unwrap().code(), Some(7));
        assert_eq!(last_lines(folder.path(), "script"), "out\n  why");
    }
}
