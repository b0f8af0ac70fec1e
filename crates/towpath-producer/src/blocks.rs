//! Hands out what is read of a file block by block, one block ahead.

use std::{iter, num::NonZeroUsize};

use towpath_core::{BoxError, Delivery, Intake, Permanent, Received};

use crate::{
    open_file::{OpenError, ReadError},
    pool::OnPool,
};

/// The blocks of a file, and what is left of the current one.
///
/// While a block is handed out, the next is read on the blocking pool: two blocks are
/// in memory, beside those whose lines or rows are still in use.
pub(crate) struct Blocks<I, B>
where
    I: Iterator<Item = Result<B, ReadError>>,
    B: IntoIterator,
{
    pool: OnPool<I>,
    rest: Option<B::IntoIter>,
    failed: Option<ReadError>,
}

const ONE: NonZeroUsize = NonZeroUsize::MIN;

impl<I, B> Blocks<I, B>
where
    I: Iterator<Item = Result<B, ReadError>> + Send + 'static,
    B: IntoIterator<IntoIter: ExactSizeIterator> + Send + 'static,
{
    pub(crate) fn new(blocks: I) -> Self {
        let mut pool = OnPool::new(blocks, ONE);
        pool.start(1);
        Self {
            pool,
            rest: None,
            failed: None,
        }
    }

    /// Hands out the rest of a block, after waiting for one if need be.
    ///
    /// # Cancel safety
    /// Cancel safe: there is no await between taking a block and keeping it.
    pub(crate) async fn receive<P>(
        &mut self,
        intake: &mut Intake<P, ()>,
        deliver: impl Fn(B::Item) -> Delivery<P, ()>,
    ) -> Result<Received, BoxError> {
        let Some(rest) = self.rest().await? else {
            return Ok(Received::End);
        };
        let room = intake.room();
        for item in rest.take(room) {
            intake.push(deliver(item));
        }
        Ok(Received::More)
    }

    async fn rest(&mut self) -> Result<Option<&mut B::IntoIter>, Permanent> {
        if self.rest.as_ref().is_none_or(|rest| rest.len() == 0) {
            self.rest = self.next_block().await?.map(B::into_iter);
        }
        Ok(self.rest.as_mut())
    }

    async fn next_block(&mut self) -> Result<Option<B>, Permanent> {
        if let Some(error) = &self.failed {
            return Err(Permanent::new(error.clone()));
        }
        match self.pool.next(1).await.map_err(Permanent::new)? {
            None => Ok(None),
            Some(Ok(block)) => {
                self.pool.start(1);
                Ok(Some(block))
            }
            Some(Err(error)) => Err(Permanent::new(self.failed.insert(error).clone())),
        }
    }
}

/// Opens a file on the blocking pool.
///
/// # Cancel safety
/// Nothing is kept when it is dropped: the file is closed, and opened again next time.
pub(crate) async fn opened<R: Send + 'static>(
    open: impl FnOnce() -> Result<R, OpenError> + Send + 'static,
) -> Result<R, BoxError> {
    let mut job = OnPool::new(iter::once_with(open), ONE);
    let opened = job.next(1).await.map_err(Permanent::new)?;
    Ok(opened.expect("once_with has one item")?)
}
