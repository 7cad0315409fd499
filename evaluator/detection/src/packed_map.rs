//! Values by key: all of them packed, the recently used ones parsed as well.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use serde::Serialize;

use crate::packed::{Packed, Packer};
use crate::state::Versioned;

#[derive(Debug)]
pub(crate) struct PackedMap<K: Eq + Hash, T> {
    entries: HashMap<K, Entry<T>>,
    recent: LruCache<K, Arc<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    revision: u64,
    kept: Kept<T>,
}

/// A value as it is put in.
#[derive(Debug)]
pub(crate) enum Kept<T> {
    /// It came as JSON and is parsed when it is needed.
    Packed(Packed),
    /// It came parsed; it is packed when it falls out of the recently used ones.
    Parsed(Arc<T>),
}

/// A value as it is found.
#[derive(Debug)]
pub(crate) enum Found<T> {
    Parsed(Versioned<T>),
    /// The caller unpacks and parses it without holding a lock, and hands it to [`PackedMap::remember`].
    Packed {
        revision: u64,
        packed: Packed,
    },
}

impl<K: Clone + Eq + Hash, T: Serialize> PackedMap<K, T> {
    /// A map that keeps so many values parsed.
    pub(crate) fn new(recent: NonZeroUsize) -> Self {
        Self { entries: HashMap::new(), recent: LruCache::new(recent) }
    }

    /// Puts a value in, replacing an older one.
    pub(crate) fn insert(&mut self, key: K, revision: u64, kept: Kept<T>) {
        self.recent.pop(&key);
        let parsed = match &kept {
            Kept::Parsed(value) => Some(value.clone()),
            Kept::Packed(_) => None,
        };
        self.entries.insert(key.clone(), Entry { revision, kept });
        if let Some(value) = parsed {
            self.push(key, value);
        }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<Found<T>>
    where
        K: Borrow<Q>,
    {
        let Entry { revision, kept } = self.entries.get(key)?;
        let revision = *revision;
        let parsed = self.recent.get(key);
        Some(match (parsed, kept) {
            (Some(value), _) | (None, Kept::Parsed(value)) => {
                Found::Parsed(Versioned { revision, value: value.clone() })
            }
            (None, Kept::Packed(packed)) => Found::Packed { revision, packed: packed.clone() },
        })
    }

    /// Remembers a value that was parsed from `packed`, unless another one was put in meanwhile.
    pub(crate) fn remember(&mut self, key: K, packed: &Packed, value: Arc<T>) {
        let kept = self.entries.get(&key).map(|entry| &entry.kept);
        if matches!(kept, Some(Kept::Packed(kept)) if kept.is(packed)) {
            self.push(key, value);
        }
    }

    fn push(&mut self, key: K, value: Arc<T>) {
        let Some((key, value)) = self.recent.push(key, value).filter(|(key, _)| !self.recent.contains(key))
        else {
            return;
        };
        // What fell out has only been parsed so far: from now on it is packed. What cannot be written stays as it is.
        if let Some(Entry { kept: kept @ Kept::Parsed(_), .. }) = self.entries.get_mut(&key)
            && let Ok(json) = serde_json::to_vec(&value)
        {
            *kept = Kept::Packed(Packer::default().pack(&json));
        }
    }

    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.recent.pop(key);
        self.entries.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.recent.clear();
        self.entries.clear();
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_parsed(map: &mut PackedMap<u8, String>, key: u8) -> bool {
        matches!(map.get(&key), Some(Found::Parsed(_)))
    }

    #[test]
    fn what_falls_out_of_the_recent_ones_is_packed() {
        let mut map: PackedMap<u8, String> = PackedMap::new(NonZeroUsize::new(2).unwrap());
        for key in 0..3 {
            map.insert(key, 1, Kept::Parsed(Arc::new(format!("value {key}"))));
        }
        assert!(is_parsed(&mut map, 1) && is_parsed(&mut map, 2));
        let Some(Found::Packed { revision: 1, packed }) = map.get(&0) else { panic!("it is parsed") };
        let json = crate::packed::Unpacker::default().unpack(&packed).unwrap().into_owned();
        assert_eq!(json, br#""value 0""#);

        map.remember(0, &packed, Arc::new("value 0".to_owned()));
        assert!(is_parsed(&mut map, 0) && !is_parsed(&mut map, 1));
    }

    #[test]
    fn a_value_that_was_replaced_is_not_remembered() {
        let mut map: PackedMap<u8, String> = PackedMap::new(NonZeroUsize::new(2).unwrap());
        let packed = |text: &str| Packer::default().pack(text.as_bytes());
        let old = packed(r#""old""#);
        map.insert(0, 1, Kept::Packed(old.clone()));
        map.insert(0, 2, Kept::Packed(packed(r#""new""#)));
        map.remember(0, &old, Arc::new("old".to_owned()));
        assert!(!is_parsed(&mut map, 0));
        map.remove(&0);
        map.remember(0, &old, Arc::new("old".to_owned()));
        assert!(map.get(&0).is_none());
    }
}
