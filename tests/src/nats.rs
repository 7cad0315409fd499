//! A real nats-server per test.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::processes::{end, free_port, stop};

/// Names the nats-server to run; without it the one on the search path is taken.
const SERVER_VARIABLE: &str = "LICTOR_NATS_SERVER";

/// How long a server may take to greet: it starts in milliseconds, but on a machine that compiles beside it, not.
const START_WITHIN: Duration = Duration::from_secs(20);

/// How often a starting server is asked whether it greets.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How often another port is tried when somebody else took the one that was free a moment ago.
const PORTS_TRIED: usize = 5;

/// What can be different about a server.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// When writes reach the disk: `always`, or a duration such as `10s`; the server's own default when absent.
    pub sync_interval: Option<String>,
    /// The greatest message in bytes; the server's own default (1 MiB) when absent.
    pub max_payload: Option<usize>,
}

/// A running nats-server with JetStream; killed, and its files removed, on drop.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    directory: TempDir,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts a server with its usual settings.
    ///
    /// # Panics
    /// When there is no nats-server, or it does not start: the message says what to install.
    pub async fn start() -> Self {
        Self::start_with(NatsOptions::default()).await
    }

    /// Starts a server with settings of its own.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub async fn start_with(options: NatsOptions) -> Self {
        Self::start_from(|port, directory| configuration(directory, port, &options)).await
    }

    /// Starts a server with the configuration that a function writes for a port and a directory.
    ///
    /// # Panics
    /// As [`NatsServer::start`].
    pub async fn start_from(configuration: impl Fn(u16, &Path) -> String) -> Self {
        let program = program();
        for _ in 0..PORTS_TRIED {
            let directory = TempDir::with_prefix("lictor-nats-")
                .unwrap_or_else(|error| stop(&format!("no temporary directory for nats-server: {error}")));
            let port = free_port();
            let written =
                std::fs::write(directory.path().join("server.conf"), configuration(port, directory.path()));
            if let Err(error) = written {
                stop(&format!("cannot write nats-server's configuration: {error}"));
            }
            let mut server = Self { program: program.clone(), directory, port, child: None };
            if server.launch().await.is_ok() {
                return server;
            }
        }
        stop(&format!("nats-server did not start on any of {PORTS_TRIED} free ports"))
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where the server keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server at once (SIGKILL), as a crash would: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
    }

    /// Starts it again on the same port with the same files; kills it first when it still runs.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        if let Err(problem) = self.launch().await {
            stop(&format!("nats-server did not start again: {problem}"));
        }
    }

    async fn launch(&mut self) -> Result<(), String> {
        let log = self.directory.path().join("server.log");
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(self.directory.path().join("server.conf"))
            .arg("-l")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| stop(&missing(&self.program, &error.to_string())));
        self.child = Some(child);
        let deadline = Instant::now() + START_WITHIN;
        while Instant::now() < deadline {
            if greets(self.port) {
                return Ok(());
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                self.child = None;
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("it ended with {status}: {log}"));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        self.kill();
        Err(format!("it did not greet within {START_WITHIN:?}"))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> PathBuf {
    std::env::var_os(SERVER_VARIABLE).map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

fn missing(program: &Path, problem: &str) -> String {
    format!(
        "cannot run `{}`: {problem}\nthis test needs nats-server 2.12 or newer: install it \
         (`go install github.com/nats-io/nats-server/v2@latest`, or your distribution's package) and put it on PATH, \
         or name it in {SERVER_VARIABLE}",
        program.display()
    )
}

fn configuration(directory: &Path, port: u16, options: &NatsOptions) -> String {
    let sync = options.sync_interval.as_ref().map(|sync| format!("  sync_interval: {sync}\n"));
    let payload = options.max_payload.map(|bytes| format!("max_payload: {bytes}\n"));
    format!(
        "listen: \"127.0.0.1:{port}\"\n{}jetstream {{\n  store_dir: {:?}\n  max_mem: 64MB\n  max_file: 64GB\n{}}}\n",
        payload.unwrap_or_default(),
        directory.join("data").display().to_string(),
        sync.unwrap_or_default(),
    )
}

/// Whether a server says `INFO` and has JetStream.
fn greets(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut connection) = TcpStream::connect_timeout(&address, ASK_EVERY) else { return false };
    let mut greeting = [0_u8; 1024];
    let patience = Some(Duration::from_millis(500));
    if connection.set_read_timeout(patience).is_err() {
        return false;
    }
    let read = connection.read(&mut greeting).unwrap_or_default();
    let text = String::from_utf8_lossy(greeting.get(..read).unwrap_or_default()).into_owned();
    text.starts_with("INFO ") && text.contains("\"jetstream\":true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lives_and_dies_and_lives_again() {
        let mut server = NatsServer::start().await;
        let port = server.port();
        assert!(greets(port));
        server.kill();
        assert!(!greets(port));
        server.restart().await;
        assert!(greets(port));
        let directory = server.directory().to_owned();
        drop(server);
        assert!(!greets(port));
        assert!(!directory.exists());
    }
}
