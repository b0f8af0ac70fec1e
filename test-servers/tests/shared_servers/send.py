"""Sends one span, one point of each kind of metric and one log record, by gRPC or by HTTP."""

import gzip
import sys
import urllib.request

import grpc
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOCOL, URL = sys.argv[1:]
TRACE, SPAN, PARENT = bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), b"12345678", b"87654321"


def pair(key, value):
    return ParseDict({"key": key, "value": value}, KeyValue())


def within(group):
    group.resource.attributes.append(pair("service.name", {"stringValue": "sender"}))
    return group


def spans():
    request = traces.ExportTraceServiceRequest()
    scope = within(request.resource_spans.add()).scope_spans.add()
    scope.scope.name = "scope"
    span = scope.spans.add(name="process parse", kind=Span.SPAN_KIND_CONSUMER, trace_id=TRACE, span_id=SPAN)
    span.parent_span_id, span.trace_state, span.flags = PARENT, "a=b", 0x301
    span.start_time_unix_nano, span.end_time_unix_nano = 1_700_000_000_000_000_000, 1_700_000_000_000_000_001
    span.attributes.append(pair("count", {"intValue": "3"}))
    span.attributes.append(pair("list", {"arrayValue": {"values": [{"boolValue": True}, {"doubleValue": 0.5}]}}))
    link = span.links.add(trace_id=TRACE, span_id=PARENT)
    link.attributes.append(pair("at", {"stringValue": "7"}))
    span.dropped_links_count = 72
    span.events.add(name="panic", time_unix_nano=5)
    span.status.code, span.status.message = 2, "boom"
    return request


def points():
    request = metrics.ExportMetricsServiceRequest()
    scope = within(request.resource_metrics.add()).scope_metrics.add()
    total = scope.metrics.add(name="messages", unit="{message}").sum
    total.aggregation_temporality, total.is_monotonic = 2, True
    point = total.data_points.add(as_int=42, start_time_unix_nano=1, time_unix_nano=2)
    point.attributes.append(pair("stage", {"stringValue": "parse"}))
    scope.metrics.add(name="queue", unit="1").gauge.data_points.add(as_double=0.5)
    times = scope.metrics.add(name="duration", unit="s").histogram
    times.aggregation_temporality = 1
    times.data_points.add(count=3, sum=1.5, explicit_bounds=[0.5], bucket_counts=[2, 1])
    return request


def records():
    request = logs.ExportLogsServiceRequest()
    scope = within(request.resource_logs.add()).scope_logs.add()
    record = scope.log_records.add(severity_text="WARN", severity_number=13, trace_id=TRACE, span_id=SPAN)
    record.body.string_value = "slow"
    record.attributes.append(pair("stage", {"stringValue": "parse"}))
    return request


def by_grpc():
    channel = grpc.insecure_channel(URL.removeprefix("http://"))
    for stub, request in [
        (traces_grpc.TraceServiceStub, spans()),
        (metrics_grpc.MetricsServiceStub, points()),
        (logs_grpc.LogsServiceStub, records()),
    ]:
        stub(channel).Export(request, metadata=[("x-tenant", "a")], timeout=20)


def by_http():
    for path, request in [("traces", spans()), ("metrics", points()), ("logs", records())]:
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "X-Tenant": "a"}
        body = gzip.compress(request.SerializeToString())
        urllib.request.urlopen(urllib.request.Request(f"{URL}/v1/{path}", body, headers), timeout=20)


by_grpc() if PROTOCOL == "grpc" else by_http()
