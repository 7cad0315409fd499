//! The servers to connect to, and who connects.

use std::fmt;

use async_nats::ConnectOptions;
use percent_encoding::percent_decode_str;

use crate::error::ConnectError;

/// NATS servers as people write them: `nats://host:port`, several with commas between. A user may stand before the
/// host, as `nats://user:password@host` or `nats://token@host`; it is used to connect and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(String);

/// Addresses without a user, and the user that was named with them.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) addresses: Vec<String>,
    user: Option<User>,
}

#[derive(PartialEq, Eq)]
enum User {
    Password { user: String, password: String },
    Token(String),
}

impl NatsUrl {
    /// Takes the text as it is; whether it can be used shows when it is connected to.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn servers(&self) -> Result<Servers, ConnectError> {
        let mut servers = Servers { addresses: Vec::new(), user: None };
        for server in self.each() {
            servers.addresses.push(format!("{}{}", server.scheme, server.host));
            let Some(user) = server.user.map(user) else { continue };
            if servers.user.as_ref().is_some_and(|other| *other != user) {
                return Err(ConnectError::SeveralUsers { url: self.to_string() });
            }
            servers.user = Some(user);
        }
        Ok(servers)
    }

    fn each(&self) -> impl Iterator<Item = Server<'_>> {
        self.0.split(',').map(|text| Server::of(text.trim()))
    }
}

/// The parts of one address.
struct Server<'a> {
    /// With its `://`, or empty.
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
}

impl<'a> Server<'a> {
    fn of(text: &'a str) -> Self {
        let (scheme, rest) = match text.find("://") {
            Some(end) => text.split_at(end + "://".len()),
            None => ("", text),
        };
        // A password may hold an `@` that nobody has written as %40.
        match rest.rsplit_once('@') {
            Some((user, host)) => Self { scheme, user: Some(user), host },
            None => Self { scheme, user: None, host: rest },
        }
    }
}

fn user(text: &str) -> User {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match text.split_once(':') {
        Some((user, password)) => User::Password { user: decoded(user), password: decoded(password) },
        None => User::Token(decoded(text)),
    }
}

impl Servers {
    /// Adds the user, if one was named.
    pub(crate) fn authenticate(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.user {
            Some(User::Password { user, password }) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Some(User::Token(token)) => options.token(token.clone()),
            None => options,
        }
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Server { scheme, host, .. }) in self.each().enumerate() {
            write!(f, "{}{scheme}{host}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_taken_out_and_never_shown() {
        let cases = [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222", None),
            ("nats://u:p@h:4222", "nats://h:4222", Some(("u", "p"))),
            ("tls://u:p%40%2f@a, b:4223", "tls://a,b:4223", Some(("u", "p@/"))),
            ("u:p@ss@[::1]:4222", "[::1]:4222", Some(("u", "p@ss"))),
            ("nats://u:p@a,nats://u:p@b", "nats://a,nats://b", Some(("u", "p"))),
        ];
        for (text, shown, user) in cases {
            let url = NatsUrl::new(text);
            assert_eq!(url.to_string(), shown);
            let servers = url.servers().unwrap();
            assert_eq!(servers.addresses.join(","), shown);
            let wanted = user.map(|(user, password)| User::Password {
                user: user.to_owned(),
                password: password.to_owned(),
            });
            assert!(servers.user == wanted, "{text}");
            let debug = format!("{url:?} {servers:?}");
            assert!(!debug.contains('@'), "{debug}");
        }
        assert!(
            NatsUrl::new("nats://secret@h").servers().unwrap().user == Some(User::Token("secret".to_owned()))
        );
        let several = NatsUrl::new("nats://u:one@a,nats://u:two@b");
        let error = several.servers().unwrap_err().to_string();
        assert!(!error.contains("one") && error.contains("nats://a,nats://b"), "{error}");
    }
}
