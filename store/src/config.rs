//! The role's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::StoreError;

/// Options of the store.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Config {
    /// Directory of the ledger; created if it does not exist
    #[arg(id = "store_data", long = "data", value_name = "DIR", env = "LICTOR_STORE_DATA")]
    #[arg(default_value = "lictor-store")]
    pub data: PathBuf,
    /// Address of the API; loopback only until there are tokens
    #[arg(id = "store_listen", long = "listen", value_name = "ADDRESS", env = "LICTOR_STORE_LISTEN")]
    #[arg(default_value = "127.0.0.1:8181")]
    pub listen: SocketAddr,
    /// After the server lost messages for good: read again what its streams hold; alerts stay
    ///
    /// A store stops reading a stream that ends before the last message it has read, or was made anew, and says so in
    /// `/v1/health` and `lictor doctor`. With this it goes on with what is there.
    #[arg(long)]
    pub accept_loss: bool,
    /// After the server lost its data for good: the installation that is lost, as the error names it
    ///
    /// Creates the streams anew and says in the policy log that the new installation takes the place of the lost one;
    /// evaluators, enforcers and stores that knew the lost one follow. Policies must be applied again.
    #[arg(long, value_name = "ID")]
    pub replace_installation: Option<String>,
}

impl Config {
    /// Opens the address if other machines cannot reach it.
    ///
    /// # Errors
    /// [`StoreError::NotLoopback`] for any other address; [`StoreError::Bind`] when it cannot be had.
    pub async fn bind(&self) -> Result<TcpListener, StoreError> {
        Ok(lictor_serve::bind(lictor_serve::loopback_only(self.listen, false)?).await?)
    }
}
