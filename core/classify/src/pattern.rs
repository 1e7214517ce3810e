//! Regular expressions that are compiled once and cannot fail later.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A pattern that is compiled on first use. One that did not compile would match nothing; a test compiles them all.
pub(crate) struct Pattern {
    #[cfg_attr(not(test), expect(dead_code, reason = "named by the test that compiles them all"))]
    source: &'static str,
    compiled: LazyLock<Option<Regex>>,
}

macro_rules! pattern {
    ($name:ident, $source:expr) => {
        pub(crate) static $name: $crate::pattern::Pattern = $crate::pattern::Pattern::new(
            $source,
            std::sync::LazyLock::new(|| regex::Regex::new($source).ok()),
        );
    };
}
pub(crate) use pattern;

impl Pattern {
    pub(crate) const fn new(source: &'static str, compiled: LazyLock<Option<Regex>>) -> Self {
        Self { source, compiled }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.compiled.as_ref().is_some_and(|r| r.is_match(text))
    }

    pub(crate) fn groups<'t>(&'static self, text: &'t str) -> impl Iterator<Item = Captures<'t>> {
        self.compiled.as_ref().into_iter().flat_map(move |r| r.captures_iter(text))
    }

    /// The source, where it does not compile.
    #[cfg(test)]
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.compiled.is_none().then_some(self.source)
    }
}
