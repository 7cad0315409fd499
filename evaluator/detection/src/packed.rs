//! Values kept packed: a cluster's models are read rarely and held all the time.

use std::borrow::Cow;

use zstd::bulk::{Compressor, Decompressor};

/// Level 1: a model of two kilobytes packs to half in some microseconds; higher levels gain a tenth.
const LEVEL: i32 = 1;

/// A value, packed where that makes it smaller.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    bytes: Box<[u8]>,
    /// Its length before it was packed; 0 when it is not.
    plain: usize,
}

/// Packs and unpacks; the tables it works with are made once.
#[derive(Default)]
pub(crate) struct Packer {
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
}

impl Packer {
    /// Packs a value. One that does not get smaller is kept as it is.
    pub(crate) fn pack(&mut self, value: &[u8]) -> Packed {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        let packed = self.compressor.as_mut().and_then(|compressor| compressor.compress(value).ok());
        match packed.filter(|packed| packed.len() < value.len()) {
            Some(packed) => Packed { bytes: packed.into(), plain: value.len() },
            None => Packed { bytes: value.into(), plain: 0 },
        }
    }

    /// The value as it was; `None` when it cannot be unpacked, which what was packed here always can.
    pub(crate) fn unpack<'p>(&mut self, packed: &'p Packed) -> Option<Cow<'p, [u8]>> {
        if packed.plain == 0 {
            return Some(Cow::Borrowed(&packed.bytes));
        }
        if self.decompressor.is_none() {
            self.decompressor = Decompressor::new().ok();
        }
        let plain = self.decompressor.as_mut()?.decompress(&packed.bytes, packed.plain).ok()?;
        Some(Cow::Owned(plain))
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let mut packer = Packer::default();
        let long = "abc".repeat(1000);
        for value in ["", "x", "no two letters", &long] {
            let packed = packer.pack(value.as_bytes());
            assert!(packed.bytes.len() <= value.len());
            assert_eq!(packer.unpack(&packed).unwrap(), value.as_bytes());
        }
        assert!(packer.pack(long.as_bytes()).bytes.len() < 100);
    }
}
