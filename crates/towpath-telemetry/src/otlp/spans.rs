//! Spans on their way to a collector.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use prost::Message;

use super::{
    queue::{Queue, flushed},
    worker::Signal,
};

/// Puts spans that have ended into the queue.
#[derive(Debug)]
pub(super) struct Spans(pub(super) Arc<Queue<SpanData>>);

/// Spans as a collector wants them.
#[derive(Debug)]
pub(super) struct SpanSignal(pub(super) ResourceAttributesWithSchema);

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.put(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        flushed(&self.0, self.0.pace().timeout)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.close();
        flushed(&self.0, timeout)
    }
}

impl Signal for SpanSignal {
    type Item = SpanData;

    fn encode(&self, spans: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.0);
        let request = ExportTraceServiceRequest { resource_spans };
        request.encode_to_vec().into()
    }

    fn refused(&self, answer: Bytes) -> (u64, String) {
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        let count = partial.rejected_spans.try_into().unwrap_or(0);
        (count, partial.error_message)
    }
}
