"""Receives OTLP by gRPC and by HTTP, and prints what came as lines of JSON.

The first line has the two ports; the first argument is how many seconds each answer takes.
"""

import gzip
import json
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SECONDS = float(sys.argv[1])
PRINTING = threading.Lock()


def put(lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with PRINTING:
        sys.stdout.write(text)
        sys.stdout.flush()


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(any_value, kind)
    if kind == "array_value":
        return [value(each) for each in found.values]
    if kind == "kvlist_value":
        return attributes(found.values)
    return found.hex() if kind == "bytes_value" else found


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


def words(enum, number, prefix):
    return enum.Name(number).removeprefix(prefix)


def span_line(span):
    return {
        "signal": "span",
        "name": span.name,
        "kind": words(Span.SpanKind, span.kind, "SPAN_KIND_"),
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "traceState": span.trace_state,
        "flags": span.flags,
        "startNs": span.start_time_unix_nano,
        "endNs": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "links": [
            {
                "traceId": link.trace_id.hex(),
                "spanId": link.span_id.hex(),
                "traceState": link.trace_state,
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ],
        "droppedLinks": span.dropped_links_count,
        "events": [
            {"name": event.name, "timeNs": event.time_unix_nano, "attributes": attributes(event.attributes)}
            for event in span.events
        ],
        "status": {
            "code": words(Status.StatusCode, span.status.code, "STATUS_CODE_"),
            "message": span.status.message,
        },
    }


def number(point):
    kind = point.WhichOneof("value")
    return None if kind is None else getattr(point, kind)


def point_lines(metric):
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    for point in data.data_points:
        line = {
            "signal": "metric",
            "name": metric.name,
            "description": metric.description,
            "unit": metric.unit,
            "type": kind,
            "attributes": attributes(point.attributes),
            "startNs": point.start_time_unix_nano,
            "timeNs": point.time_unix_nano,
        }
        if hasattr(data, "aggregation_temporality"):
            line["temporality"] = words(
                AggregationTemporality, data.aggregation_temporality, "AGGREGATION_TEMPORALITY_"
            )
        if kind == "sum":
            line["monotonic"] = data.is_monotonic
        if kind in ("gauge", "sum"):
            line["value"] = number(point)
        else:
            line["count"], line["sum"] = point.count, point.sum
        if kind == "histogram":
            line["bounds"] = list(point.explicit_bounds)
            line["buckets"] = list(point.bucket_counts)
        yield line


def log_line(record):
    return {
        "signal": "log",
        "body": value(record.body),
        "severity": record.severity_text,
        "severityNumber": record.severity_number,
        "event": record.event_name,
        "traceId": record.trace_id.hex(),
        "spanId": record.span_id.hex(),
        "timeNs": record.time_unix_nano,
        "attributes": attributes(record.attributes),
    }


def lines(request):
    if isinstance(request, traces.ExportTraceServiceRequest):
        groups, scopes, records, one = "resource_spans", "scope_spans", "spans", span_line
    elif isinstance(request, metrics.ExportMetricsServiceRequest):
        groups, scopes, records, one = "resource_metrics", "scope_metrics", "metrics", point_lines
    else:
        groups, scopes, records, one = "resource_logs", "scope_logs", "log_records", log_line
    for group in getattr(request, groups):
        resource = attributes(group.resource.attributes)
        for scope in getattr(group, scopes):
            for record in getattr(scope, records):
                found = one(record)
                for line in [found] if isinstance(found, dict) else found:
                    yield {**line, "resource": resource, "scope": scope.scope.name}


def receive(protocol, path, headers, request):
    head = {"signal": "request", "protocol": protocol, "path": path, "headers": headers}
    put([head, *lines(request)])
    time.sleep(SECONDS)


# By the path of each over HTTP.
SIGNALS = {
    "/v1/traces": (
        traces.ExportTraceServiceRequest,
        traces.ExportTraceServiceResponse,
        traces_grpc.TraceServiceServicer,
        traces_grpc.add_TraceServiceServicer_to_server,
    ),
    "/v1/metrics": (
        metrics.ExportMetricsServiceRequest,
        metrics.ExportMetricsServiceResponse,
        metrics_grpc.MetricsServiceServicer,
        metrics_grpc.add_MetricsServiceServicer_to_server,
    ),
    "/v1/logs": (
        logs.ExportLogsServiceRequest,
        logs.ExportLogsServiceResponse,
        logs_grpc.LogsServiceServicer,
        logs_grpc.add_LogsServiceServicer_to_server,
    ),
}


def servicer(path):
    _, response, base, _ = SIGNALS[path]

    class Servicer(base):
        def Export(self, request, context):
            headers = {key: str(item) for key, item in context.invocation_metadata()}
            receive("grpc", path, headers, request)
            return response()

    return Servicer()


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path not in SIGNALS:
            return self.answer(404, b"")
        if self.headers["Content-Type"] != "application/x-protobuf":
            return self.answer(415, b"")
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        request, response, *_ = SIGNALS[self.path]
        headers = {key.lower(): item for key, item in self.headers.items()}
        receive("http", self.path, headers, request.FromString(body))
        return self.answer(200, response().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    any_size = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=any_size)
    for path, (*_, add) in SIGNALS.items():
        add(servicer(path), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    put([{"grpc": grpc_port, "http": http.server_port}])
    http.serve_forever()


main()
