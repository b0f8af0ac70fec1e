//! The cases of the `bench` binary as criterion groups: wall time with its spread.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use towpath_benches::case::Job;
use towpath_benches::cases;
use towpath_benches::runtime::two_workers;

const MESSAGES: u32 = 100_000;

fn pipelines(criterion: &mut Criterion) {
    let runtime = two_workers().expect("the system gives two threads");
    for job in Job::ALL {
        let mut group = criterion.benchmark_group(job.name());
        group
            .throughput(Throughput::Elements(u64::from(MESSAGES)))
            .sample_size(20);
        for case in cases::of(job) {
            group.bench_function(BenchmarkId::from_parameter(case.contender), |bencher| {
                bencher.iter(|| {
                    let verdict = case.checked(&runtime, black_box(MESSAGES));
                    verdict.expect("every message is acknowledged");
                });
            });
        }
    }
}

criterion_group!(groups, pipelines);
criterion_main!(groups);
