//! The operators that change how a message is settled or batched.

use towpath_core::{Outcome, SettleOptions};

use super::{Operator, Step, shape::operator};

operator! {
    /// Acknowledges a message here, before the rest of the pipeline has seen it.
    AcknowledgeNow<O, F>
}
operator! {
    /// Marks a message to close the batch it gets into.
    FlushWhen<O, F>
}
operator! {
    /// Changes how the source settles a message.
    Configure<O, F>
}

impl<O, F> Operator for AcknowledgeNow<O, F>
where
    O: Operator,
    F: Fn(&O::Out) -> bool + Send + Sync + 'static,
{
    type In = O::In;
    type Out = O::Out;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(O::Out, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            if (self.f)(&payload)
                && let Some(receipt) = step.receipt()
            {
                receipt.settle_now(Outcome::Done);
            }
            out(payload, step);
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("acknowledge_now");
    }
}

impl<O, F> Operator for FlushWhen<O, F>
where
    O: Operator,
    F: Fn(&O::Out) -> bool + Send + Sync + 'static,
{
    type In = O::In;
    type Out = O::Out;

    #[inline]
    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(O::Out, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            if (self.f)(&payload)
                && let Some(receipt) = step.receipt()
            {
                receipt.mark_flush();
            }
            out(payload, step);
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("flush_when");
    }
}

impl<O, F> Operator for Configure<O, F>
where
    O: Operator,
    F: Fn(&O::Out) -> Option<SettleOptions> + Send + Sync + 'static,
{
    type In = O::In;
    type Out = O::Out;

    fn apply(
        &self,
        input: O::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(O::Out, &mut Step<'_>),
    ) {
        self.before.apply(input, step, &mut |payload, step| {
            let configured = match ((self.f)(&payload), step.receipt()) {
                (Some(options), Some(receipt)) => receipt.configure(&options),
                _ => Ok(()),
            };
            match configured {
                Ok(()) => out(payload, step),
                Err(unsupported) => step.fail("configure_ack", unsupported),
            }
        });
    }

    fn describe(&self, names: &mut Vec<&'static str>) {
        self.before.describe(names);
        names.push("configure_ack");
    }
}
