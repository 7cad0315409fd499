//! A private nats-server, for `lictor up` where none is given.
//!
//! It listens on loopback, on a port the system chose, and keeps its data under `--data`. It is stopped when lictor
//! stops. Should lictor be killed so hard that it cannot, the next start on the same data ends the one left behind:
//! two servers on one folder would damage it. A lock, which the system takes back from whoever dies, tells one left
//! behind from one in use.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Names the server to start; otherwise it is searched for in `PATH`.
pub const SERVER_VARIABLE: &str = "LICTOR_NATS_SERVER";

/// What streams may reserve together: all of the table's, at their usual sizes.
pub(crate) const MOST_STORED: u64 = 64 * 1024 * 1024 * 1024;
/// A cold start takes milliseconds; reading back a large store seconds.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How often the start is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A server writes its state when it stops; after this long it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A nats-server child process.
#[derive(Debug)]
pub struct PrivateServer {
    child: Child,
    url: String,
    _lock: File,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PrivateServerError {
    /// There is no nats-server to start.
    #[error("nats-server was not found: {looked}")]
    NotFound {
        /// Where it was looked for.
        looked: String,
    },
    /// A file or folder of its data cannot be used.
    #[error("`{path}` cannot be used: {source}")]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another lictor uses its data.
    #[error("another lictor runs on `{folder}`")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// It could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended, or did not come up.
    #[error("`{program}` did not start: {log}")]
    NotUp {
        /// The program.
        program: PathBuf,
        /// The end of its log.
        log: String,
    },
}

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl PrivateServerError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop it first, or choose another folder with --data",
            Self::Data { .. } => "choose a folder that may be written with --data",
            Self::NotFound { .. } | Self::Start { .. } | Self::NotUp { .. } => {
                "install nats-server 2.12 or newer, or name one with LICTOR_NATS_SERVER; or give --nats-url"
            }
        }
    }
}

impl PrivateServer {
    /// Starts a server with its data under `folder`.
    ///
    /// # Errors
    /// See [`PrivateServerError`]; each says what to do.
    pub async fn start(folder: &Path) -> Result<Self, PrivateServerError> {
        let program = find()?;
        let folder = make_folder(folder)?;
        let lock = lock(&folder)?;
        end_left_behind(&folder).await;
        let (config, log) = (folder.join("nats-server.conf"), folder.join("nats-server.log"));
        write(&config, &configuration(&folder))?;
        write(&log, "")?;
        let mut child = Command::new(&program)
            .arg("--config")
            .arg(&config)
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal goes to the whole group; the server must outlive the roles that drain.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| PrivateServerError::Start { program: program.clone(), source })?;
        let pid = child.id().unwrap_or_default();
        write(&folder.join("pid"), &pid.to_string())?;
        let ports = folder.join(format!("nats-server_{pid}.ports"));
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let listening = std::fs::read_to_string(&ports).ok();
            let url = listening.and_then(|text| serde_json::from_str::<Ports>(&text).ok()?.nats.pop());
            if let Some(url) = url {
                return Ok(Self { child, url, _lock: lock });
            }
            if matches!(child.try_wait(), Ok(Some(_))) || Instant::now() > deadline {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>();
                return Err(PrivateServerError::NotUp { program, log: end.join(" | ") });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops it: SIGTERM first, SIGKILL when it takes too long.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            terminate(pid).await;
        }
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

fn find() -> Result<PathBuf, PrivateServerError> {
    if let Some(given) = std::env::var_os(SERVER_VARIABLE).filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        if given.is_file() {
            return Ok(given);
        }
        let looked = format!("{SERVER_VARIABLE} names `{}`, which is not a file", given.display());
        return Err(PrivateServerError::NotFound { looked });
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| PrivateServerError::NotFound {
            looked: format!("it is not on the PATH, and {SERVER_VARIABLE} is not set"),
        })
}

fn configuration(folder: &Path) -> String {
    // JSON is what nats-server's configuration language contains; quoting is then not ours to get right.
    serde_json::json!({
        "listen": "127.0.0.1:-1",
        "server_name": "lictor-private",
        "ports_file_dir": folder,
        "jetstream": {
            "store_dir": folder.join("jetstream"),
            "sync_interval": "always",
            // Streams reserve their greatest size. Without a bound of its own the server lends three quarters of the
            // disk that is free just now, and does not start beside a full one; what is really used is far less.
            "max_file_store": MOST_STORED,
        },
    })
    .to_string()
}

fn make_folder(folder: &Path) -> Result<PathBuf, PrivateServerError> {
    let unusable = |source| PrivateServerError::Data { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    folder.canonicalize().map_err(unusable)
}

fn write(path: &Path, text: &str) -> Result<(), PrivateServerError> {
    std::fs::write(path, text).map_err(|source| PrivateServerError::Data { path: path.to_owned(), source })
}

/// Takes the folder for this process. The file stays; what counts is who holds it.
fn lock(folder: &Path) -> Result<File, PrivateServerError> {
    let path = folder.join("lock");
    let unusable = |source| PrivateServerError::Data { path: path.clone(), source };
    let lock = File::create(&path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(PrivateServerError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Ends the server of an earlier lictor on this folder, if it still runs. Its command line names our configuration,
/// so no other process is taken for it.
async fn end_left_behind(folder: &Path) {
    let Some(pid) =
        std::fs::read_to_string(folder.join("pid")).ok().and_then(|text| text.parse::<u32>().ok())
    else {
        return;
    };
    let ours = |pid: u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&*folder.join("nats-server.conf").to_string_lossy())
    };
    if !ours(pid) {
        return;
    }
    tracing::warn!(pid, "ending the nats-server that an earlier start left behind");
    terminate(pid).await;
    let deadline = Instant::now() + STOP_WITHIN;
    while ours(pid) && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
    }
}

/// Sends SIGTERM. Through `kill`, because signals need unsafe code, which this workspace forbids.
async fn terminate(pid: u32) {
    let sent = Command::new("kill").arg("-TERM").arg(pid.to_string()).stderr(Stdio::null()).status().await;
    if let Err(error) = sent {
        tracing::warn!(%error, "`kill` could not be run");
    }
}
