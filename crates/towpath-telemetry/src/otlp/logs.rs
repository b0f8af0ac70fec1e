//! Log records on their way to a collector.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use opentelemetry::InstrumentationScope;
use opentelemetry_proto::{
    tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    transform::{
        common::tonic::ResourceAttributesWithSchema, logs::tonic::group_logs_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogBatch, LogProcessor, SdkLogRecord},
};
use prost::Message;

use super::{
    queue::{Queue, flushed},
    worker::Signal,
};

/// A log record, and who wrote it.
pub(super) type Record = Box<(SdkLogRecord, InstrumentationScope)>;

/// Puts log records into the queue.
#[derive(Debug)]
pub(super) struct Logs(pub(super) Arc<Queue<Record>>);

/// Log records as a collector wants them.
#[derive(Debug)]
pub(super) struct LogSignal(pub(super) ResourceAttributesWithSchema);

impl LogProcessor for Logs {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.put(Box::new((record.clone(), scope.clone())));
    }

    fn force_flush(&self) -> OTelSdkResult {
        flushed(&self.0, self.0.pace().timeout)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.close();
        flushed(&self.0, timeout)
    }
}

impl Signal for LogSignal {
    type Item = Record;

    fn encode(&self, records: Vec<Record>) -> Bytes {
        let records: Vec<_> = records
            .iter()
            .map(|record| (&record.0, &record.1))
            .collect();
        let batch = LogBatch::new(&records);
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.0);
        let request = ExportLogsServiceRequest { resource_logs };
        request.encode_to_vec().into()
    }

    fn refused(&self, answer: Bytes) -> (u64, String) {
        let answer = ExportLogsServiceResponse::decode(answer).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        let count = partial.rejected_log_records.try_into().unwrap_or(0);
        (count, partial.error_message)
    }
}
