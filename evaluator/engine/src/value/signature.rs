//! Who verified the signature of an image.

use std::fmt;

use super::error::ValueError;
use super::text::TextMatcher;

/// Finds images that none of the listed signature integrations verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureMatcher {
    verifiers: Vec<TextMatcher>,
}

impl SignatureMatcher {
    /// Takes the values of the criterion.
    ///
    /// # Errors
    /// A value says that it is a pattern, and is not.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, ValueError> {
        Ok(Self { verifiers: values.into_iter().map(TextMatcher::parse).collect::<Result<_, _>>()? })
    }

    /// Whether none of the listed integrations is among `verified`, the ids of those that verified the image under
    /// its name. An image that nobody verified violates.
    #[must_use]
    pub fn violates<'a>(&self, verified: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
        !self.verifiers.iter().any(|verifier| verifier.find(verified.clone()).is_some())
    }

    /// The listed integrations.
    #[must_use]
    pub fn verifiers(&self) -> &[TextMatcher] {
        &self.verifiers
    }
}

impl fmt::Display for SignatureMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, verifier) in self.verifiers.iter().enumerate() {
            write!(f, "{}{verifier}", if index == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "io.stackrox.signatureintegration.05fea766-e2f8-44b3-9959-eaa61a4d7422";
    const TWO: &str = "io.stackrox.signatureintegration.15fea766-e2f8-44b3-9959-eaa61a4d7422";

    #[test]
    fn one_verifier_is_enough() {
        let matcher = SignatureMatcher::parse([ONE, TWO]).unwrap();
        assert!(!matcher.violates(&[TWO].into_iter()));
        assert!(!matcher.violates(&[ONE.to_uppercase().as_str()].into_iter()));
        assert!(matcher.violates(&["io.stackrox.signatureintegration.x"].into_iter()));
        assert!(matcher.violates(&std::iter::empty()));
    }
}
