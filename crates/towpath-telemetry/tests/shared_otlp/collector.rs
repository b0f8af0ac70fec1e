//! A collector in this process, on a thread of its own, that behaves as told.

use std::{
    convert::Infallible,
    io::Read,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        },
    },
    logs::v1::LogRecord,
    metrics::v1::Metric,
    trace::v1::Span,
};
use prost::Message;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

/// How a collector behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Answers at once.
    Prompt,
    /// Answers after that.
    Slow(Duration),
    /// Accepts connections and never says a word.
    Silent,
    /// Says so many times that it is overloaded, and answers then.
    Overloaded(u32),
    /// Does not want so many spans of each request.
    Picky(i64),
    /// Wants nothing, and says that trying again is of no use.
    Hostile,
    /// Knows traces only.
    TracesOnly,
}

/// What has arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    pub(crate) requests: u32,
    pub(crate) spans: Vec<Span>,
    pub(crate) logs: Vec<LogRecord>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) services: Vec<String>,
    pub(crate) headers: HeaderMap,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    arrived: Arc<Mutex<Arrived>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Body = BoxBody<Bytes, Infallible>;

impl Collector {
    pub(crate) fn new(manner: Manner) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::<Mutex<Arrived>>::default();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&arrived);
        let thread = std::thread::spawn(move || serve(listener, manner, &shared, stopped));
        Self {
            address,
            arrived,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn arrived(&self) -> Arrived {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }

    pub(crate) fn spans(&self) -> u64 {
        self.arrived.lock().unwrap().spans.len() as u64
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(
    listener: std::net::TcpListener,
    manner: Manner,
    arrived: &Arc<Mutex<Arrived>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let accepting = accept(TcpListener::from_std(listener).unwrap(), manner, arrived);
        tokio::select! {
            () = accepting => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: TcpListener, manner: Manner, arrived: &Arc<Mutex<Arrived>>) {
    let mut connections = JoinSet::new();
    let mut held = Vec::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if matches!(manner, Manner::Silent) {
            held.push(stream);
            continue;
        }
        let arrived = Arc::clone(arrived);
        let service =
            hyper::service::service_fn(move |request| answer(request, manner, arrived.clone()));
        connections.spawn(async move {
            auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

async fn answer<B>(
    request: Request<B>,
    manner: Manner,
    arrived: Arc<Mutex<Arrived>>,
) -> Result<Response<Body>, Infallible>
where
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let grpc = head.headers["content-type"] == "application/grpc";
    let count = {
        let mut arrived = arrived.lock().unwrap();
        arrived.requests += 1;
        arrived.headers = head.headers.clone();
        arrived.requests
    };
    match manner {
        Manner::Overloaded(times) if count <= times => return Ok(refused(grpc, 503, "14")),
        Manner::TracesOnly if !is_of_traces(head.uri.path()) => {
            return Ok(refused(grpc, 404, "12"));
        }
        Manner::Hostile => return Ok(refused(grpc, 400, "3")),
        Manner::Slow(delay) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let message = plain(&head.headers, body, grpc);
    take(&mut arrived.lock().unwrap(), head.uri.path(), message);
    let picky = matches!(manner, Manner::Picky(_)).then(|| partial(manner));
    Ok(accepted(grpc, &picky.unwrap_or_default()))
}

fn is_of_traces(path: &str) -> bool {
    path.contains("TraceService") || path.ends_with("/traces")
}

/// Without the prefix of gRPC, and decompressed.
fn plain(headers: &HeaderMap, body: Bytes, grpc: bool) -> Bytes {
    let (compressed, body) = if grpc {
        (body[0] == 1, body.slice(5..))
    } else {
        (headers.contains_key("content-encoding"), body)
    };
    if !compressed {
        return body;
    }
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&body[..]);
    decoder.read_to_end(&mut plain).unwrap();
    plain.into()
}

fn take(arrived: &mut Arrived, path: &str, message: Bytes) {
    match path {
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            for of in ExportTraceServiceRequest::decode(message)
                .unwrap()
                .resource_spans
            {
                let resource = of.resource.unwrap_or_default();
                let named = resource.attributes.iter().find(|a| a.key == "service.name");
                arrived.services.push(format!("{:?}", named.unwrap().value));
                let scopes = of.scope_spans.into_iter();
                arrived.spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        }
        "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => {
            for of in ExportLogsServiceRequest::decode(message)
                .unwrap()
                .resource_logs
            {
                let scopes = of.scope_logs.into_iter();
                arrived
                    .logs
                    .extend(scopes.flat_map(|scope| scope.log_records));
            }
        }
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            for of in ExportMetricsServiceRequest::decode(message)
                .unwrap()
                .resource_metrics
            {
                let scopes = of.scope_metrics.into_iter();
                arrived
                    .metrics
                    .extend(scopes.flat_map(|scope| scope.metrics));
            }
        }
        other => panic!("nothing is sent to {other}"),
    }
}

fn partial(manner: Manner) -> Vec<u8> {
    let Manner::Picky(rejected_spans) = manner else {
        return Vec::new();
    };
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too dull".to_owned(),
        }),
    }
    .encode_to_vec()
}

fn accepted(grpc: bool, message: &[u8]) -> Response<Body> {
    if !grpc {
        return Response::new(Full::from(message.to_vec()).boxed());
    }
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::from(frame).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let kind = "application/grpc".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    response
}

fn refused(grpc: bool, http: u16, status: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    if grpc {
        let status = status.parse().unwrap();
        response.headers_mut().insert("grpc-status", status);
    } else {
        *response.status_mut() = http.try_into().unwrap();
    }
    response
}
