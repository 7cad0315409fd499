//! How the program ends.

use std::process::{ExitCode, Termination};

/// Exit codes are part of the public interface: scripts tell a violated policy from an unreachable server by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well: 0.
    Fine = 0,
    /// A policy was violated, or has something wrong with it, where the command's job is to say so: 1.
    Violated = 1,
    /// The command line was wrong: 2.
    Usage = 2,
    /// A server could not be reached, refused the request, or failed on the way; or the output could not be written: 3.
    Unreachable = 3,
    /// An input could not be read or parsed, or lacks what the command needs: 4. A partial result is never reported as
    /// success.
    InvalidInput = 4,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// A failure as a person reads it: what went wrong, what to do about it, and how the program ends.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, and where (file, field or address).
    pub message: String,
    /// What to do about it; empty when the message already says it.
    pub hint: String,
    /// How the program ends.
    pub exit: Exit,
}

impl Failure {
    /// A server that could not be reached, or that refused the request.
    pub fn unreachable(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), hint: String::new(), exit: Exit::Unreachable }
    }

    /// Input that could not be read or parsed, or that lacks what the command needs.
    pub fn invalid_input(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), hint: String::new(), exit: Exit::InvalidInput }
    }

    /// A wrong command line.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), hint: String::new(), exit: Exit::Usage }
    }

    /// Says which part of the program failed.
    pub fn of(self, part: &str) -> Self {
        Self { message: format!("{part}: {}", self.message), ..self }
    }

    /// Adds what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}
