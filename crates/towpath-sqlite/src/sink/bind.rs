//! Binding the parameters of a statement to the values of a row.

use std::{mem, sync::Arc};

use towpath_core::BoxError;

use super::Value;

/// The parameters of one row, to be bound to values: by place or by name.
///
/// Every parameter must be bound. What is wrong is told once, after the whole row, and rejects
/// its message.
#[derive(Debug)]
pub struct Bind<'r> {
    parameters: &'r Parameters,
    values: Vec<Option<Value>>,
    next: usize,
    wrong: Option<BindError>,
}

/// A row does not fit its statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The statement has no parameter of that name.
    #[error("the statement has no parameter {name}")]
    NoParameter {
        /// The name.
        name: String,
    },
    /// There are more values than parameters.
    #[error("the statement has {count} parameters, and there is a value for one more")]
    TooMany {
        /// How many parameters there are.
        count: usize,
    },
    /// A parameter has no value.
    #[error("the parameter {name} has no value")]
    Unbound {
        /// Its name, or its number from 1 on.
        name: String,
    },
    /// A number is too large for SQLite, whose whole numbers have 64 bits and a sign.
    #[error("the number {number} is too large for SQLite")]
    TooLarge {
        /// The number.
        number: u64,
    },
}

/// The names of the parameters of a statement, in their order; where they have any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Arc<[Option<String>]>);

/// What a closure that binds may return: nothing, or a result.
pub trait Bound {
    /// The result.
    ///
    /// # Errors
    /// Fails as the closure did; the message is rejected then.
    fn bound(self) -> Result<(), BoxError>;
}

impl Bound for () {
    fn bound(self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// So that a chain of calls may be the whole closure.
impl Bound for &mut Bind<'_> {
    fn bound(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Bound for Result<(), E> {
    fn bound(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

// === impl Bind ===

impl<'r> Bind<'r> {
    pub(crate) fn new(parameters: &'r Parameters) -> Self {
        Self {
            values: vec![None; parameters.0.len()],
            parameters,
            next: 0,
            wrong: None,
        }
    }

    /// Binds the next parameter.
    pub fn push(&mut self, value: impl Into<Value>) -> &mut Self {
        let place = self.next;
        self.next += 1;
        let count = self.values.len();
        self.bind(place, value.into(), || BindError::TooMany { count })
    }

    /// Binds a parameter by its name, with or without the sign before it: `:id`, or `id`.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        let place = self.parameters.place(name).unwrap_or(usize::MAX);
        self.bind(place, value.into(), || BindError::NoParameter {
            name: name.to_owned(),
        })
    }

    fn bind(
        &mut self,
        place: usize,
        value: Value,
        missing: impl FnOnce() -> BindError,
    ) -> &mut Self {
        let wrong = match (self.values.get_mut(place), value) {
            (Some(_), Value::TooLarge(number)) => Some(BindError::TooLarge { number }),
            (Some(bound), value) => {
                *bound = Some(value);
                None
            }
            (None, _) => Some(missing()),
        };
        self.wrong = self.wrong.take().or(wrong);
        self
    }

    /// The values, if there is one for each parameter.
    pub(crate) fn finish(&mut self) -> Result<Vec<Value>, BindError> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let values = mem::take(&mut self.values).into_iter().enumerate();
        let values = values.map(|(place, value)| {
            value.ok_or_else(|| BindError::Unbound {
                name: self.parameters.name(place),
            })
        });
        values.collect()
    }
}

// === impl Parameters ===

impl Parameters {
    /// Reads the names out of a statement.
    pub(crate) fn of(statement: &rusqlite::Statement<'_>) -> Self {
        let places = 1..=statement.parameter_count();
        let names = places.map(|place| statement.parameter_name(place).map(str::to_owned));
        Self(names.collect())
    }

    fn place(&self, name: &str) -> Option<usize> {
        let is_it = |known: &str| known == name || known.get(1..) == Some(name);
        self.0
            .iter()
            .position(|known| known.as_deref().is_some_and(is_it))
    }

    fn name(&self, place: usize) -> String {
        let name = self.0.get(place).cloned().flatten();
        name.unwrap_or_else(|| (place + 1).to_string())
    }
}
