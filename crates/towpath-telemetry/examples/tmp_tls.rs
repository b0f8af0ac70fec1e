//! x
use opentelemetry::trace::{Tracer, TracerProvider};
use towpath_telemetry::otlp::*;
fn main() {
    for p in [Protocol::Grpc, Protocol::Http] {
    let t = Setup::new("flights").endpoint(std::env::args().nth(1).unwrap()).protocol(p).ratio(1.0).start().unwrap();
    let tracer = t.tracer_provider().unwrap().tracer("x");
    for _ in 0..3000 { drop(tracer.start("a")); }
    println!("{:?}", t.shutdown_blocking(std::time::Duration::from_secs(5)));
    }
}
