//! The name of a stage, cheap to clone.

use std::{fmt, sync::Arc};

/// The name of a stage or pipeline, shared by everything that reports about it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageName(Arc<str>);

impl StageName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name as it is shared: without a copy.
impl From<&StageName> for Arc<str> {
    fn from(name: &StageName) -> Self {
        name.0.clone()
    }
}

impl From<&str> for StageName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for StageName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for StageName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
