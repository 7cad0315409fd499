//! Capabilities of containers.

use std::fmt;

use super::Combine;
use super::text::{equals_lower, lower_case};

/// Finds containers that add capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddCapabilitiesMatcher {
    listed: Listed,
}

/// Finds containers that do *not* drop capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DropCapabilitiesMatcher {
    listed: Listed,
    /// Whether `ALL` is listed. Otherwise dropping it drops everything that is.
    all_listed: bool,
}

/// The values of the criterion, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Listed {
    names: Vec<Box<str>>,
    combine: Combine,
}

// === impl AddCapabilitiesMatcher ===

impl AddCapabilitiesMatcher {
    /// Takes the values of the criterion.
    pub fn new<'a>(combine: Combine, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self { listed: Listed::new(combine, values) }
    }

    /// Whether one, or each, of the listed capabilities is among `added`. Of no capabilities none is.
    #[must_use]
    pub fn matches<'a>(&self, added: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
        added.clone().next().is_some() && self.listed.are_in(added)
    }
}

impl fmt::Display for AddCapabilitiesMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listed.fmt(f)
    }
}

// === impl DropCapabilitiesMatcher ===

impl DropCapabilitiesMatcher {
    /// Takes the values of the criterion.
    pub fn new<'a>(combine: Combine, values: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        // Only this spelling counts.
        let all_listed = values.clone().into_iter().any(|value| value == "ALL");
        Self { listed: Listed::new(combine, values), all_listed }
    }

    /// Whether none of the listed capabilities is among `dropped`, or not each. Dropping nothing always violates.
    #[must_use]
    pub fn violates<'a>(&self, dropped: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
        let drops_all = dropped.clone().any(|name| equals_lower(name, "all"));
        !self.listed.are_in(dropped) && (self.all_listed || !drops_all)
    }
}

impl fmt::Display for DropCapabilitiesMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listed.fmt(f)
    }
}

// === impl Listed ===

impl Listed {
    fn new<'a>(combine: Combine, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self { names: values.into_iter().map(lower_case).collect(), combine }
    }

    fn are_in<'a>(&self, found: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
        let mut present = self.names.iter().map(|name| found.clone().any(|found| equals_lower(found, name)));
        match self.combine {
            Combine::Any => present.any(|present| present),
            Combine::All => present.all(|present| present),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = match self.combine {
            Combine::Any => " or ",
            Combine::All => " and ",
        };
        for (index, name) in self.names.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { joint }, name.to_uppercase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropping(combine: Combine, listed: &[&str], dropped: &[&str]) -> bool {
        let matcher = DropCapabilitiesMatcher::new(combine, listed.iter().copied());
        matcher.violates(&dropped.iter().copied())
    }

    #[test]
    fn what_is_not_dropped_violates() {
        use Combine::{All, Any};
        for (combine, listed, dropped, violates) in [
            (Any, &["NET_RAW"][..], &[][..], true),
            (Any, &["NET_RAW"], &["net_raw"], false),
            (Any, &["NET_RAW"], &["ALL"], false),
            (Any, &["NET_RAW"], &["CAP_NET_RAW"], true),
            (Any, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN"], false),
            (All, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN"], true),
            (All, &["NET_RAW", "SYS_ADMIN"], &["SYS_ADMIN", "NET_RAW"], false),
            (All, &["NET_RAW", "SYS_ADMIN"], &["all"], false),
            (All, &["NET_RAW"], &[], true),
            (Any, &["ALL"], &["NET_RAW"], true),
            (Any, &["ALL"], &["all"], false),
            (Any, &["ALL", "NET_RAW"], &["NET_RAW"], false),
            (All, &["ALL", "NET_RAW"], &["ALL"], true),
            (All, &["all", "NET_RAW"], &["ALL"], false),
        ] {
            assert_eq!(dropping(combine, listed, dropped), violates, "{combine:?} {listed:?} {dropped:?}");
        }
    }

    #[test]
    fn what_is_added_violates() {
        let adding = |combine, added: &[&str]| {
            AddCapabilitiesMatcher::new(combine, ["NET_RAW", "SYS_ADMIN"]).matches(&added.iter().copied())
        };
        assert!(adding(Combine::Any, &["sys_admin"]));
        assert!(!adding(Combine::All, &["sys_admin"]));
        assert!(adding(Combine::All, &["sys_admin", "x", "NET_RAW"]));
        assert!(!adding(Combine::Any, &[]));
        assert!(!adding(Combine::Any, &["SYS_ADMIN_X"]));
    }
}
