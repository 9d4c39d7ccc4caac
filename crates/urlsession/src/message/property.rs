//! Properties of a request: values that custom protocols attach to it. They are not sent.
//!
//! Apple: *URLProtocol.property(forKey:in:)*.

use std::any::Any;
use std::sync::Arc;

/// A few values of any type by name. A clone shares them until one of the two is changed.
#[derive(Clone, Default)]
pub(super) struct Properties(Option<Arc<Vec<Property>>>);

type Property = (Box<str>, Value);

type Value = Arc<dyn Any + Send + Sync>;

impl Properties {
    pub(super) fn get<T: Any>(&self, key: &str) -> Option<&T> {
        let (_, value) = self.0.as_ref()?.iter().find(|(known, _)| **known == *key)?;
        value.downcast_ref()
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        let all = Arc::make_mut(self.0.get_or_insert_default());
        match all.iter_mut().find(|(known, _)| **known == *key) {
            Some((_, known)) => *known = value,
            None => all.push((key.into(), value)),
        }
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        let Some(all) = &mut self.0 else { return false };
        let Some(at) = all.iter().position(|(known, _)| **known == *key) else { return false };
        Arc::make_mut(all).remove(at);
        true
    }
}

/// Values cannot be compared: a value equals only itself.
impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        let all = |it: &Self| it.0.as_ref().map_or(0, |all| all.len());
        let mut ours = self.0.iter().flat_map(|all| all.iter());
        all(self) == all(other)
            && ours.all(|(key, value)| {
                let mut theirs = other.0.iter().flat_map(|all| all.iter());
                theirs.any(|(known, other)| key == known && Arc::ptr_eq(value, other))
            })
    }
}

impl Eq for Properties {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_found_by_name_and_type_and_a_clone_keeps_its_own() {
        let mut properties = Properties::default();
        assert_eq!(properties.get::<bool>("handled"), None);
        properties.set("handled", Arc::new(true));
        let copy = properties.clone();
        assert!(copy == properties);
        properties.set("handled", Arc::new(7u8));
        assert_eq!((properties.get::<u8>("handled"), properties.get::<bool>("handled")), (Some(&7), None));
        assert_eq!(copy.get::<bool>("handled"), Some(&true));
        assert!(copy != properties);
        assert!(properties.remove("handled") && !properties.remove("handled"));
        assert!(properties == Properties::default());
    }
}
