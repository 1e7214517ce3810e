//! What names stand for in a session. Most statements and portals have no name, and finding them costs no hash.

use std::collections::HashMap;

/// Values by name; the empty name is a name like any other.
#[derive(Debug)]
pub(crate) struct Named<V> {
    unnamed: Option<V>,
    named: HashMap<Box<[u8]>, V, ahash::RandomState>,
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { unnamed: None, named: HashMap::default() }
    }
}

impl<V> Named<V> {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&V> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) }
    }

    pub(crate) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        if name.is_empty() { self.unnamed.as_mut() } else { self.named.get_mut(name) }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.unnamed.iter().chain(self.named.values())
    }

    /// Returns what the name stood for before.
    pub(crate) fn insert(&mut self, name: &[u8], value: V) -> Option<V> {
        if name.is_empty() {
            self.unnamed.replace(value)
        } else {
            self.named.insert(name.into(), value)
        }
    }

    /// Returns what the name stood for.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<V> {
        if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) }
    }

    pub(crate) fn len(&self) -> usize {
        self.named.len() + usize::from(self.unnamed.is_some())
    }

    pub(crate) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }

    /// Forgets every name that is not wanted.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) {
        if !wanted(b"") {
            self.unnamed = None;
        }
        self.named.retain(|name, _| wanted(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_name_is_a_name_like_any_other() {
        for name in [&b""[..], b"a"] {
            let mut map = Named::default();
            assert_eq!((map.get(name), map.len()), (None, 0));
            assert_eq!(map.insert(name, 1), None);
            assert_eq!(map.insert(name, 2), Some(1));
            assert_eq!((map.get(name), map.len()), (Some(&2), 1));
            *map.get_mut(name).expect("there") += 1;
            let other: &[u8] = if name.is_empty() { b"a" } else { b"" };
            assert_eq!(map.insert(other, 9), None);
            map.retain(|kept| kept == name);
            assert_eq!((map.get(name), map.get(other), map.len()), (Some(&3), None, 1));
            assert_eq!(map.remove(name), Some(3));
            assert_eq!(map.remove(name), None);
            map.insert(name, 4);
            map.clear();
            assert_eq!(map.len(), 0);
        }
    }
}
