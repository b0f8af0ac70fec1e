//! What a service is called with: the payload alone, or with what is known of its message.

use std::ops::{Deref, DerefMut};

use towpath_core::{Origin, Receipt};

/// A payload with where its message came from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call<T> {
    /// The payload.
    pub payload: T,
    /// Identity, position, attempts and headers, as far as the source knows them.
    pub origin: Origin,
}

impl<T> Call<T> {
    /// The payload alone.
    pub fn into_payload(self) -> T {
        self.payload
    }
}

impl<T> Deref for Call<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T> DerefMut for Call<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.payload
    }
}

/// How a message becomes the request of a service.
pub trait Carry<T>: Send + Sync + 'static {
    /// What the service is called with.
    type Request: Send + 'static;

    /// Makes the request.
    fn carry(payload: T, receipt: &Receipt) -> Self::Request;
}

/// The service gets the payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

/// The service gets a [`Call`].
#[derive(Clone, Copy, Debug, Default)]
pub struct InContext;

impl<T: Send + 'static> Carry<T> for Plain {
    type Request = T;

    #[inline]
    fn carry(payload: T, _receipt: &Receipt) -> T {
        payload
    }
}

impl<T: Send + 'static> Carry<T> for InContext {
    type Request = Call<T>;

    fn carry(payload: T, receipt: &Receipt) -> Call<T> {
        Call {
            payload,
            origin: receipt.origin(),
        }
    }
}
