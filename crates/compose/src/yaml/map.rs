//! Mappings in the order of the file. Most have a few keys and are looked through; those with many have an index.

use std::collections::HashMap;

use super::keyed::Keyed;
use super::{Node, Text};

/// From so many members on there is an index.
const INDEXED: usize = 24;

/// A mapping, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Map {
    members: Vec<(Text, Node)>,
    /// The places of all keys, if they are many.
    #[allow(clippy::box_collection, reason = "most mappings have none, and each value has room for a mapping")]
    places: Option<Box<HashMap<Text, usize, Keyed>>>,
}

impl Map {
    /// An empty mapping with room for so many members.
    #[must_use]
    pub fn with_capacity(members: usize) -> Self {
        Self { members: Vec::with_capacity(members), places: None }
    }

    /// A mapping of members whose keys are known to be different.
    pub(crate) fn of_new(members: impl IntoIterator<Item = (Text, Node)>) -> Self {
        let mut map = Self { members: members.into_iter().collect(), places: None };
        map.moved();
        map
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn place(&self, key: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.members.iter().position(|(name, _)| name == key),
        }
    }

    /// Notes the places anew after members have moved.
    fn moved(&mut self) {
        let place = |(place, (key, _)): (usize, &(Text, Node))| (key.clone(), place);
        let is_long = self.members.len() >= INDEXED;
        self.places = is_long.then(|| Box::new(self.members.iter().enumerate().map(place).collect()));
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.place(key).map(|place| &self.members[place].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.place(key).map(|place| &mut self.members[place].1)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    /// Sets the value of a key: in its place if it is there, at the end if not. Returns what it was.
    pub fn insert(&mut self, key: impl Into<Text>, value: Node) -> Option<Node> {
        let key = key.into();
        match self.place(&key) {
            Some(place) => Some(std::mem::replace(&mut self.members[place].1, value)),
            None => {
                self.append(key, value);
                None
            }
        }
    }

    /// The value of a key, which is put at the end first if it is not there.
    pub fn or_insert(&mut self, key: impl Into<Text>, value: impl FnOnce() -> Node) -> &mut Node {
        let key = key.into();
        let place = self.place(&key).unwrap_or_else(|| self.append(key, value()));
        &mut self.members[place].1
    }

    /// Adds a member whose key is known not to be there; returns its place.
    pub(crate) fn append(&mut self, key: Text, value: Node) -> usize {
        let place = self.members.len();
        if let Some(places) = &mut self.places {
            places.insert(key.clone(), place);
        }
        self.members.push((key, value));
        if self.places.is_none() && self.members.len() >= INDEXED {
            self.moved();
        }
        place
    }

    /// Takes a member out; those after it move up.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let place = self.place(key)?;
        let (_, value) = self.members.remove(place);
        if let Some(places) = &mut self.places {
            places.remove(key);
            places.values_mut().filter(|at| **at > place).for_each(|at| *at -= 1);
        }
        Some(value)
    }

    /// Takes the last member out.
    pub fn pop(&mut self) -> Option<(Text, Node)> {
        let last = self.members.pop()?;
        if let Some(places) = &mut self.places {
            places.remove(&last.0);
        }
        Some(last)
    }

    /// Keeps the members for which the answer is yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&Text, &mut Node) -> bool) {
        let before = self.members.len();
        self.members.retain_mut(|(key, value)| keep(key, value));
        if self.members.len() < before {
            self.moved();
        }
    }

    /// Puts the members into the order of their keys.
    pub fn sort_by(&mut self, mut order: impl FnMut(&str, &str) -> std::cmp::Ordering) {
        self.members.sort_by(|left, right| order(&left.0, &right.0));
        self.moved();
    }

    /// The members.
    pub fn iter(&self) -> Iter<'_> {
        self.members.iter().map(|(key, value)| (key, value))
    }

    /// The members, their values to be changed.
    pub fn iter_mut(&mut self) -> IterMut<'_> {
        self.members.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Text> + Clone {
        self.members.iter().map(|(key, _)| key)
    }

    /// The values.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Node> + Clone {
        self.members.iter().map(|(_, value)| value)
    }

    /// The values, to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Node> {
        self.members.iter_mut().map(|(_, value)| value)
    }
}

/// Members of a mapping.
pub(super) type Iter<'m> = std::iter::Map<std::slice::Iter<'m, (Text, Node)>, fn(&(Text, Node)) -> (&Text, &Node)>;
/// Members of a mapping whose values may be changed.
pub(super) type IterMut<'m> =
    std::iter::Map<std::slice::IterMut<'m, (Text, Node)>, fn(&mut (Text, Node)) -> (&Text, &mut Node)>;

impl<'m> IntoIterator for &'m Map {
    type Item = (&'m Text, &'m Node);
    type IntoIter = Iter<'m>;

    fn into_iter(self) -> Iter<'m> {
        self.iter()
    }
}

impl<'m> IntoIterator for &'m mut Map {
    type Item = (&'m Text, &'m mut Node);
    type IntoIter = IterMut<'m>;

    fn into_iter(self) -> IterMut<'m> {
        self.iter_mut()
    }
}

impl IntoIterator for Map {
    type Item = (Text, Node);
    type IntoIter = std::vec::IntoIter<(Text, Node)>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<K: Into<Text>> Extend<(K, Node)> for Map {
    fn extend<I: IntoIterator<Item = (K, Node)>>(&mut self, members: I) {
        let members = members.into_iter();
        self.members.reserve(members.size_hint().0);
        members.for_each(|(key, value)| {
            self.insert(key, value);
        });
    }
}

impl<K: Into<Text>> FromIterator<(K, Node)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Node)>>(members: I) -> Self {
        let mut map = Self::default();
        map.extend(members);
        map
    }
}

/// Equal are those with the same members, in whatever order.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::yaml::Value;

    /// A number that looks random.
    fn next(seed: &mut u64) -> usize {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap()
    }

    fn node(number: usize) -> Node {
        Node::made(Value::Int(i128::try_from(number).unwrap()))
    }

    #[test]
    fn it_does_what_an_indexmap_does() {
        let seed = &mut 7;
        for keys in [4, INDEXED, 3 * INDEXED] {
            let (mut map, mut model): (Map, IndexMap<String, Node>) = (Map::default(), IndexMap::new());
            for step in 0..3000 {
                let key = format!("k{}", next(seed) % keys);
                match next(seed) % 16 {
                    0..8 => assert_eq!(map.insert(key.as_str(), node(step)), model.insert(key, node(step))),
                    8..11 => assert_eq!(map.remove(&key), model.shift_remove(&key)),
                    11 => assert_eq!(map.pop().map(|last| last.1), model.pop().map(|last| last.1)),
                    12 => assert_eq!(map.or_insert(&*key, || node(step)), model.entry(key).or_insert(node(step))),
                    13 => {
                        map.retain(|name, _| **name <= *key);
                        model.retain(|name, _| name <= &key);
                    }
                    14 => {
                        map.sort_by(Ord::cmp);
                        model.sort_keys();
                    }
                    _ => assert_eq!(map.get_mut(&key), model.get_mut(&key)),
                }
                assert!(map.iter().map(|(key, value)| (key.as_str(), value)).eq(model.iter().map(|(k, v)| (&**k, v))));
                assert!(model.keys().all(|key| map.contains_key(key)));
            }
        }
    }

    #[test]
    fn the_order_does_not_make_them_different() {
        let of = |keys: &[usize]| keys.iter().map(|key| (key.to_string(), node(*key))).collect::<Map>();
        assert_eq!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 2]), of(&[1, 3]));
        assert_ne!(of(&[1, 2]), of(&[1]));
    }
}
