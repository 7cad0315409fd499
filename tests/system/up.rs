//! Everything in one process, on a folder that another one uses, or has left behind.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lictor_tests::end;

use crate::support::lictor;

const PATIENCE: Duration = Duration::from_secs(60);

fn up(data: &Path) -> Command {
    let mut command = Command::new(lictor());
    command.args(["up", "--api", "127.0.0.1:0", "--data"]).arg(data).stdin(Stdio::null());
    command
}

/// The private server of a running one: its process, once it listens.
fn server(data: &Path, up: &mut Child) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pid = std::fs::read_to_string(data.join("nats/pid")).ok().and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.filter(|pid| data.join(format!("nats/nats-server_{pid}.ports")).exists()) {
            return pid;
        }
        assert!(up.try_wait().unwrap().is_none() && Instant::now() < deadline, "it did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_second_one_leaves_the_first_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = up(&data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = server(&data, &mut first);
    let runs = || Path::new(&format!("/proc/{pid}/root")).exists();
    let second = up(&data).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(said.contains("another lictor runs on") && said.contains("--data"), "{said}");
    assert!(runs() && first.try_wait().unwrap().is_none());

    // Killed, it leaves its server behind. Who comes next ends that, and goes on with the data.
    end(&mut first);
    assert!(runs());
    let next = up(&data).arg("--once").output().unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    assert!(!runs());
}
