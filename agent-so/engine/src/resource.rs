//! The resource: what all spans of this process have in common (spec/resource.md).

pub mod container;
pub mod detect;
pub mod program;

use crate::config::percent;
use std::borrow::Cow;

pub use detect::{Facts, service_name};

/// An attribute value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    String(String),
    /// A signed 64-bit integer.
    Int(i64),
    /// Several texts.
    Strings(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// Attributes with unique keys, in the order in which they were first set. No limits apply to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    attributes: Vec<(Cow<'static, str>, Value)>,
}

impl Resource {
    /// Sets an attribute. A value set before is replaced, even by an empty one.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.attributes.iter_mut().find(|(other, _)| *other == key) {
            Some((_, slot)) => *slot = value,
            None => self.attributes.push((key, value)),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.attributes
            .iter()
            .find(|(other, _)| other == key)
            .map(|(_, value)| value)
    }

    /// All attributes.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.attributes
            .iter()
            .map(|(key, value)| (key.as_ref(), value))
    }
}

/// Reads `OTEL_RESOURCE_ATTRIBUTES`: `key=value` pairs, percent-encoded, split at the first `=`, white space around keys and
/// values dropped, empty items passed over, a later value of a key replacing an earlier one. Any other flaw is an error
/// for the whole.
pub fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let (key, value) = item.split_once('=').ok_or("an item has no '='")?;
        let decode = |part: &str| percent::decode(part.trim());
        let key = decode(key).ok_or("a key has a bad percent sequence")?;
        let value = decode(value).ok_or("a value has a bad percent sequence")?;
        if key.is_empty() {
            return Err("an item has no key");
        }
        match pairs.iter_mut().find(|(other, _)| *other == key) {
            Some((_, slot)) => *slot = value,
            None => pairs.push((key, value)),
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attribute_lists() {
        type Row<'a> = (&'a str, Option<&'a [(&'a str, &'a str)]>);
        let rows: [Row; 10] = [
            ("", Some(&[])),
            ("a=1,b=2", Some(&[("a", "1"), ("b", "2")])),
            (" a = 1 ,, b=2,", Some(&[("a", "1"), ("b", "2")])),
            (
                "a=x%2Cy%3Dz,b=caf%C3%A9",
                Some(&[("a", "x,y=z"), ("b", "café")]),
            ),
            ("a=1,a=2", Some(&[("a", "2")])),
            ("a=", Some(&[("a", "")])),
            ("a=b=c", Some(&[("a", "b=c")])),
            ("a=1,b", None),
            ("a=%zz", None),
            ("=1", None),
        ];
        for (text, expected) in rows {
            let pairs = parse_attributes(text).ok();
            let shown = pairs.as_ref().map(|pairs| {
                pairs
                    .iter()
                    .map(|(k, v)| (k.as_str(), v.as_str()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn setting_replaces_and_keeps_the_place() {
        let mut resource = Resource::default();
        resource.set("a", "1");
        resource.set("b", Value::Int(2));
        resource.set("a", "");
        assert_eq!(resource.get("a"), Some(&Value::from("")));
        assert_eq!(resource.get("c"), None);
        assert!(resource.attributes().map(|(key, _)| key).eq(["a", "b"]));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(text in "[ -~é]{0,40}") {
            let _ = parse_attributes(&text);
        }
    }
}
