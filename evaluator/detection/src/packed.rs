//! Values kept packed: a cluster's models are read rarely and kept all the time.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

/// Level 1: a model of two kilobytes packs to half in some microseconds; higher levels gain a tenth.
const LEVEL: i32 = 1;

/// A value, packed where that makes it smaller. A clone shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    bytes: Arc<[u8]>,
    /// Its length before it was packed; 0 when it is not.
    plain: usize,
}

impl Packed {
    /// Whether both are one value, put in once.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }
}

/// Packs; the tables it works with are made once.
#[derive(Default)]
pub(crate) struct Packer(Option<Compressor<'static>>);

impl Packer {
    /// Packs a value. One that does not get smaller is kept as it is.
    pub(crate) fn pack(&mut self, value: &[u8]) -> Packed {
        if self.0.is_none() {
            self.0 = Compressor::new(LEVEL).ok();
        }
        let packed = self.0.as_mut().and_then(|compressor| compressor.compress(value).ok());
        match packed.filter(|packed| packed.len() < value.len()) {
            Some(packed) => Packed { bytes: packed.into(), plain: value.len() },
            None => Packed { bytes: value.into(), plain: 0 },
        }
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

/// Unpacks, for any number of threads: as many sets of tables as ever unpacked at once.
#[derive(Default)]
pub(crate) struct Unpacker(Mutex<Vec<Decompressor<'static>>>);

impl Unpacker {
    /// The value as it was; `None` when it cannot be unpacked, which what was packed here always can.
    pub(crate) fn unpack<'p>(&self, packed: &'p Packed) -> Option<Cow<'p, [u8]>> {
        if packed.plain == 0 {
            return Some(Cow::Borrowed(&packed.bytes));
        }
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decompressor = match idle {
            Some(decompressor) => decompressor,
            None => Decompressor::new().ok()?,
        };
        let plain = decompressor.decompress(&packed.bytes, packed.plain).ok();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(decompressor);
        plain.map(Cow::Owned)
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let (mut packer, unpacker) = (Packer::default(), Unpacker::default());
        let long = "abc".repeat(1000);
        for value in ["", "x", "no two letters", &long] {
            let packed = packer.pack(value.as_bytes());
            assert!(packed.bytes.len() <= value.len());
            assert_eq!(unpacker.unpack(&packed).unwrap(), value.as_bytes());
        }
        assert!(packer.pack(long.as_bytes()).bytes.len() < 100);
    }
}
