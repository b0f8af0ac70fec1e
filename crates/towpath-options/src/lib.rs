//! Options in words, all their problems at once, and secrets that are never shown.
//!
//! ```
//! use std::time::Duration;
//! use towpath_options::{Problems, Secret, duration, read_options};
//!
//! #[derive(Debug, serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Options {
//!     #[serde(with = "duration")]
//!     patience: Duration,
//!     password: Secret,
//! }
//!
//! let text = r#"{ "patience": "1m 30s", "password": "hush" }"#;
//! let read: Options = read_options(&mut serde_json::Deserializer::from_str(text))?;
//! let mut problems = Problems::new();
//! problems.expect_time("patience", read.patience);
//! problems.into_result()?;
//! assert!(!format!("{read:?}").contains("hush"));
//! # Ok::<(), towpath_options::InvalidOptions>(())
//! ```

pub mod bytes;
pub mod duration;
mod problems;
mod secret;
#[cfg(test)]
mod tests;

pub use problems::{InvalidOptions, LONGEST, Problem, Problems, read_options};
pub use secret::{Secret, without_secrets};
