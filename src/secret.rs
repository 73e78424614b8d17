//! Values that must never be printed. Does not encrypt anything.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// What stands in place of a secret wherever people look.
pub const MASK: &str = "***";

/// A secret value; `Debug` and `Display` print [`MASK`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// Writes a secret in clear: only for the plan, which goes to a worker's standard input.
pub mod exposed {
    use serde::Serializer;

    use super::Secret;

    /// Serializes the value in clear.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }
}

/// Writes an optional secret in clear: only for the plan, which goes to a worker's standard input.
pub mod exposed_option {
    use serde::Serializer;

    use super::Secret;

    /// Serializes the value in clear.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }
}

/// Writes secrets in clear: only for the plan, which goes to a worker's standard input.
pub mod exposed_list {
    use serde::Serializer;

    use super::Secret;

    /// Serializes the values in clear.
    pub fn serialize<S: Serializer>(secrets: &[Secret], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(secrets.iter().map(Secret::expose))
    }
}

/// Replaces every known secret in a text by [`MASK`].
#[derive(Clone, Default)]
pub struct Masker {
    values: Vec<String>,
}

impl fmt::Debug for Masker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Masker({} values)", self.values.len())
    }
}

impl Masker {
    /// Takes the values to hide. Values of fewer than four characters are left out: hiding them would make texts unreadable.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().filter(|value| value.chars().count() >= 4).collect();
        // The longest first, so that a secret that contains another one goes whole.
        values.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        values.dedup();
        Self { values }
    }

    /// Returns the text with every known secret replaced.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for value in &self.values {
            if masked.contains(value.as_str()) {
                masked = masked.replace(value.as_str(), MASK);
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter22");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }

    #[test]
    fn a_masker_hides_the_longest_secret_first() {
        let masker = Masker::new(["pass".to_owned(), "password1".to_owned(), "abc".to_owned()]);
        assert_eq!(masker.mask("password1 pass abc"), "*** *** abc");
    }
}
