//! Lines to messages and back. Pure: bytes in, bytes out.
//!
//! A message's payload is one event, or several with a line each, compressed where that helps. What is frozen here
//! is repeated byte for byte until the stream has it.

use std::cell::RefCell;
use std::io::Read;

use async_nats::HeaderMap;
use bytes::Bytes;
use lictor_wire::{Bounded, TooMany};
use serde_json::value::RawValue;
use zstd::bulk::Decompressor;

use crate::headers::{
    ACKED, CONTENT_ENCODING, CONTENT_TYPE, EVENT_LINES, EVENT_LIST, EVENTS, Headers, MESSAGE_ID, ONE_EVENT,
    ZSTD,
};

/// Payloads up to this size are left as they are: people can read them with any NATS client, and compression saves
/// less than the server's own bookkeeping per message.
const COMPRESS_ABOVE: usize = 4 * 1024;

/// Level 1: measured five to one on events, at hundreds of megabytes a second; higher levels cost more than disk.
const COMPRESSION_LEVEL: i32 = 1;

/// What a payload may grow to. Packs hold 64 KB and single lines are offloaded long before this, so more than
/// that is a bomb, not an event.
pub(crate) const MAX_UNPACKED: usize = 16 * 1024 * 1024;

/// Lines of a message. A publisher's pack has some hundreds; a bomb of empty objects would have millions.
const MOST_LINES: usize = 16_384;

/// How far back a decompressor may have to look, as a power of two: no further than what may come out of it.
const WINDOW_LOG: u32 = MAX_UNPACKED.ilog2();

/// A message as it will be sent, however often.
#[derive(Debug, Clone)]
pub(crate) struct Frozen {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// Why a message cannot be unpacked. All of it is dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// An encoding that is not known here.
    #[error("content encoding `{encoding}` is not known")]
    UnknownEncoding {
        /// The encoding.
        encoding: String,
    },
    /// The compressed payload is damaged.
    #[error("the compressed payload is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// The payload unpacks to more than any of ours.
    #[error("the payload unpacks to more than {limit} bytes")]
    TooLarge {
        /// The greatest size.
        limit: usize,
    },
    /// The message has more lines than any of ours.
    #[error("the message has {lines} lines, and {limit} is the limit")]
    TooManyLines {
        /// How many.
        lines: usize,
        /// The bound.
        limit: usize,
    },
    /// The list of events is not a JSON list.
    #[error("the list of events is not a JSON list: {reason}")]
    NotAList {
        /// What was found.
        reason: String,
    },
}

/// Freezes lines into a message. `lines` are joined by line ends already.
pub(crate) fn freeze(lines: String, count: usize, id: &str, acked: u64) -> Frozen {
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE_ID, id);
    headers.insert(ACKED, acked.to_string());
    headers.insert(EVENTS, count.to_string());
    headers.insert(CONTENT_TYPE, if count == 1 { ONE_EVENT } else { EVENT_LINES });
    let payload = Bytes::from(lines);
    match compressed_if_it_helps(&payload) {
        Some(smaller) => {
            headers.insert(CONTENT_ENCODING, ZSTD);
            Frozen { headers, payload: smaller }
        }
        None => Frozen { headers, payload },
    }
}

/// The payload compressed, when it is large enough to bother and shrinks by a tenth.
fn compressed_if_it_helps(payload: &Bytes) -> Option<Bytes> {
    if payload.len() <= COMPRESS_ABOVE {
        return None;
    }
    compress(payload).filter(|smaller| smaller.len() < payload.len() - payload.len() / 10)
}

pub(crate) fn compress(payload: &[u8]) -> Option<Bytes> {
    zstd::bulk::compress(payload, COMPRESSION_LEVEL).ok().map(Bytes::from)
}

/// How many bytes a payload takes unpacked, at most: what it says itself, or what any may.
pub(crate) fn unpacked_size(headers: &Headers, payload: &[u8]) -> usize {
    if headers.get(CONTENT_ENCODING) != Some(ZSTD) {
        return payload.len();
    }
    let said = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten();
    said.and_then(|size| usize::try_from(size).ok()).map_or(MAX_UNPACKED, |size| size.min(MAX_UNPACKED))
}

/// The payload as it was before it was compressed.
///
/// # Errors
/// When the encoding is not known, the payload is damaged, or unpacks to more than any of ours.
pub(crate) fn decode_payload(headers: &Headers, payload: &Bytes) -> Result<Bytes, UnpackError> {
    match headers.get(CONTENT_ENCODING) {
        None | Some("" | "identity") => Ok(payload.clone()),
        Some(ZSTD) => match decompress_at_once(payload) {
            Some(plain) => Ok(plain),
            None => decompress(payload),
        },
        Some(other) => Err(UnpackError::UnknownEncoding { encoding: other.to_owned() }),
    }
}

thread_local! {
    /// Making a decompressor costs as much as using it on a pack.
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The payload decompressed into a buffer of the size it says itself, as ours do. `None` when it does not say, or
/// says something else than is true, or anything is wrong.
fn decompress_at_once(payload: &[u8]) -> Option<Bytes> {
    let size = usize::try_from(zstd::zstd_safe::get_frame_content_size(payload).ok()??).ok()?;
    if size > MAX_UNPACKED {
        return None;
    }
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(payload, size).ok().map(Bytes::from)
    })
}

/// The payload decompressed, however it was compressed.
fn decompress(payload: &[u8]) -> Result<Bytes, UnpackError> {
    let damaged = |error: std::io::Error| UnpackError::Damaged { reason: error.to_string() };
    let mut decoder = zstd::stream::read::Decoder::new(payload).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
    let mut plain = Vec::new();
    let limit = MAX_UNPACKED as u64 + 1;
    decoder.by_ref().take(limit).read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() > MAX_UNPACKED {
        return Err(UnpackError::TooLarge { limit: MAX_UNPACKED });
    }
    Ok(Bytes::from(plain))
}

/// The lines of an event message, as they were published: not parsed, offloaded bodies not fetched.
///
/// A message without a content type is taken as one event, since that is what a person with any NATS client sends.
///
/// # Errors
/// When the message cannot be unpacked at all; a line that is not an event is a line too.
pub fn unpack(headers: &Headers, payload: &Bytes) -> Result<Vec<Bytes>, UnpackError> {
    let plain = decode_payload(headers, payload)?;
    let content_type =
        headers.get(CONTENT_TYPE).map_or("", |text| text.split(';').next().unwrap_or("").trim());
    match content_type {
        EVENT_LINES => lines(&plain),
        EVENT_LIST => {
            let list: Bounded<&RawValue, MOST_LINES> = serde_json::from_slice(&plain)
                .map_err(|error| UnpackError::NotAList { reason: error.to_string() })?;
            let list = list.all();
            let list =
                list.map_err(|TooMany { length, limit }| UnpackError::TooManyLines { lines: length, limit })?;
            Ok(list.into_iter().map(|item| plain.slice_ref(item.get().as_bytes())).collect())
        }
        _ => Ok(vec![plain]),
    }
}

fn lines(plain: &Bytes) -> Result<Vec<Bytes>, UnpackError> {
    let ends = memchr::memchr_iter(b'\n', plain).count();
    if ends > MOST_LINES {
        return Err(UnpackError::TooManyLines { lines: ends, limit: MOST_LINES });
    }
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', plain).chain([plain.len()]);
    let lines = ends.map(|end| plain.slice(std::mem::replace(&mut start, end + 1)..end));
    Ok(lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thaw(frozen: &Frozen) -> Vec<String> {
        unpack(&Headers(frozen.headers.clone()), &frozen.payload)
            .unwrap()
            .into_iter()
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn one_line_is_one_event() {
        let frozen = freeze("{\"a\":1}".to_owned(), 1, "p.e.1", 0);
        let headers = Headers(frozen.headers.clone());
        assert_eq!(headers.get(CONTENT_TYPE), Some(ONE_EVENT));
        assert_eq!(headers.get(EVENTS), Some("1"));
        assert_eq!(headers.get(MESSAGE_ID), Some("p.e.1"));
        assert_eq!(headers.get(ACKED), Some("0"));
        assert_eq!(headers.get("no such name: at all"), None);
        assert_eq!(thaw(&frozen), ["{\"a\":1}"]);
    }

    #[test]
    fn an_event_over_several_lines_is_one_line_when_its_type_says_so() {
        let headers: Headers =
            [(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")].into_iter().collect();
        assert_eq!(unpack(&headers, &Bytes::from_static(b"{\n\"a\":1\n}")).unwrap().len(), 1);
        assert_eq!(unpack(&Headers::default(), &Bytes::from_static(b"{\n\"a\":1\n}")).unwrap().len(), 1);
    }

    #[test]
    fn a_list_is_taken_apart() {
        let headers: Headers = [(CONTENT_TYPE, EVENT_LIST)].into_iter().collect();
        let lines = unpack(&headers, &Bytes::from_static(b"[{\"a\":1}, {\"b\":2}]")).unwrap();
        assert_eq!(lines, [&b"{\"a\":1}"[..], &b"{\"b\":2}"[..]]);
        assert!(unpack(&headers, &Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn whatever_another_compressor_makes_is_read() {
        let headers: Headers = [(CONTENT_TYPE, EVENT_LINES), (CONTENT_ENCODING, ZSTD)].into_iter().collect();
        let says_no_size = zstd::stream::encode_all(&b"{\"a\":1}\n\n{\"b\":2}"[..], 1).unwrap();
        let frames = [compress(b"{\"a\":1}\n").unwrap(), compress(b"{\"b\":2}").unwrap()].concat();
        for payload in [says_no_size, frames] {
            let lines = unpack(&headers, &Bytes::from(payload)).unwrap();
            assert_eq!(lines, [&b"{\"a\":1}"[..], &b"{\"b\":2}"[..]]);
        }
    }

    #[test]
    fn a_bomb_and_damage_are_errors() {
        let bomb = compress(&vec![b' '; MAX_UNPACKED + 1]).unwrap();
        let headers: Headers = [(CONTENT_ENCODING, ZSTD)].into_iter().collect();
        assert_eq!(unpack(&headers, &bomb), Err(UnpackError::TooLarge { limit: MAX_UNPACKED }));
        let damaged = unpack(&headers, &Bytes::from_static(b"not zstd"));
        assert!(matches!(damaged, Err(UnpackError::Damaged { .. })));
        let headers: Headers = [(CONTENT_ENCODING, "br")].into_iter().collect();
        assert!(matches!(unpack(&headers, &bomb), Err(UnpackError::UnknownEncoding { .. })));
    }

    #[test]
    fn lines_are_bounded() {
        let lines: Headers = [(CONTENT_TYPE, EVENT_LINES)].into_iter().collect();
        let list: Headers = [(CONTENT_TYPE, EVENT_LIST)].into_iter().collect();
        let count =
            |headers: &Headers, text: String| unpack(headers, &Bytes::from(text)).map(|lines| lines.len());
        let too_many = Err(UnpackError::TooManyLines { lines: MOST_LINES + 1, limit: MOST_LINES });
        assert_eq!(count(&lines, "{}\n".repeat(MOST_LINES)), Ok(MOST_LINES));
        assert_eq!(count(&lines, "{}\n".repeat(MOST_LINES + 1)), too_many);
        assert_eq!(count(&list, format!("[{}]", vec!["{}"; MOST_LINES].join(","))), Ok(MOST_LINES));
        assert_eq!(count(&list, format!("[{}]", vec!["{}"; MOST_LINES + 1].join(","))), too_many);
    }

    proptest! {
        #[test]
        fn lines_come_back(lines in prop::collection::vec("[^\\s\r\n][^\r\n]{0,400}", 1..60)) {
            let frozen = freeze(lines.join("\n"), lines.len(), "p.e.7", 3);
            prop_assert_eq!(thaw(&frozen), lines);
        }

        #[test]
        fn any_bytes_unpack_or_say_why(payload in prop::collection::vec(any::<u8>(), 0..300), zipped in any::<bool>()) {
            let mut pairs = vec![(CONTENT_TYPE, EVENT_LINES)];
            if zipped {
                pairs.push((CONTENT_ENCODING, ZSTD));
            }
            let _ = unpack(&pairs.into_iter().collect(), &Bytes::from(payload));
        }
    }
}
