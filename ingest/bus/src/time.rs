//! Times of the client library to ours and back.

use async_nats::datetime::{self, DateTime};
use jiff::Timestamp;

/// The server's time. It is well within what a timestamp holds; one that is not is the epoch.
pub(crate) fn timestamp(time: &DateTime) -> Timestamp {
    Timestamp::from_nanosecond(time.unix_timestamp_nanos()).unwrap_or_default()
}

/// A time for the server.
pub(crate) fn date_time(time: Timestamp) -> DateTime {
    datetime::from_nanos(time.as_nanosecond()).unwrap_or_else(|_| datetime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_to_the_nanosecond() {
        let time: Timestamp = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        assert_eq!(timestamp(&date_time(time)), time);
    }
}
