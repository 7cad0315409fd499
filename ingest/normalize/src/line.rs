//! Our own lines: an event per line, as every export writes them.

use lictor_wire::{Event, EventError};

/// Why a line is no event of ours.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct LineError {
    /// Column at which reading stopped, from 1; 0 when the whole line is meant.
    pub column: usize,
    /// What is wrong.
    #[source]
    pub source: EventError,
}

impl LineError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self.source {
            EventError::Envelope(_) => {
                "a line is a CloudEvents 1.0 object with specversion, id, source, type `io.lictor.<kind>.v1`, \
                 time, cluster and data"
            }
            EventError::Body { .. } => "compare the body with what `lictor events tail` prints for this kind",
            EventError::Elsewhere { .. } => {
                "export with bodies in the lines; `dataref` is not followed in files"
            }
        }
    }
}

/// Reads one line. The event keeps the id, source, time and cluster it says.
///
/// # Errors
/// When the line is no event, or its body lies elsewhere.
pub fn read(line: &str) -> Result<Event, LineError> {
    Event::parse(line).map_err(|source| {
        let column = match &source {
            EventError::Envelope(error) => error.column(),
            // The column of a body counts from the body's start, which nobody sees.
            EventError::Body { .. } | EventError::Elsewhere { .. } => 0,
        };
        LineError { column, source }
    })
}

#[cfg(test)]
mod tests {
    use lictor_wire::Kind;

    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        let line = r#"{"specversion":"1.0","id":"e1","source":"/x","type":"io.lictor.network.v1","time":"2026-01-02T03:04:05Z","cluster":"c1","datacontenttype":"application/json","data":{"direction":"EGRESS","protocol":"TCP","local":{"address":"10.0.0.1","port":1},"remote":{"address":"10.0.0.2","port":2}}}"#;
        let event = read(line).unwrap();
        assert_eq!(event.kind(), Kind::Network);
        assert_eq!(event.to_line().unwrap(), line);
    }

    #[test]
    fn an_error_says_where() {
        let error = read(r#"{"specversion":"1.0","id":7}"#).unwrap_err();
        assert!(matches!(error.source, EventError::Envelope(_)));
        assert_eq!(error.column, 27);
        assert!(error.hint().contains("CloudEvents"));
    }
}
