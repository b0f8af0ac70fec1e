//! Names: pipelines that run can be listed and found, and no two share one.

use towpath::{BuildError, Flow, Phase, Pipeline, Running};
use towpath_test::{TestSource, check};

async fn endless(name: &'static str) -> Running {
    let (source, _) = TestSource::new(0..3_u32).endless().build();
    let pipeline = Flow::from(source).acknowledge().named(name);
    pipeline.start().await.expect("it is valid")
}

async fn stop(running: Running) {
    running.handle().drain();
    let report = running.join().await.expect("it ran to its end");
    check(&report);
}

#[tokio::test(start_paused = true)]
async fn pipelines_that_run_are_listed_and_found_by_name() {
    let (first, second) = (endless("listed one").await, endless("listed two").await);
    let listed: Vec<_> = towpath::running()
        .iter()
        .map(|handle| handle.name().to_string())
        .filter(|name| name.starts_with("listed"))
        .collect();
    assert_eq!(listed, ["listed one", "listed two"]);
    let found = towpath::find("listed one").expect("it runs");
    assert_eq!(found.phase(), Phase::Running);

    stop(first).await;
    assert!(towpath::find("listed one").is_none());
    assert!(towpath::find("listed two").is_some());
    assert_eq!(found.phase(), Phase::Stopped);
    stop(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_pipeline_of_the_same_name_is_refused_and_the_first_goes_on() {
    let first = endless("only one").await;
    let (source, outcomes) = TestSource::of(0..3_u32);
    let refused = Flow::from(source)
        .acknowledge()
        .named("only one")
        .start()
        .await;
    let error = refused.unwrap_err();

    assert!(
        matches!(&error, BuildError::NameTaken { pipeline } if pipeline.as_str() == "only one")
    );
    assert_eq!(
        error.to_string(),
        "a pipeline named only one is running already"
    );
    assert!(outcomes.demands().is_empty());
    assert_eq!(first.handle().phase(), Phase::Running);
    stop(first).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_again_once_its_pipeline_has_ended() {
    for _ in 0..3 {
        stop(endless("again").await).await;
    }
    drop(endless("again").await);
    while towpath::find("again").is_some() {
        tokio::task::yield_now().await;
    }
    stop(endless("again").await).await;
}

#[tokio::test(start_paused = true)]
async fn pipelines_without_a_name_get_one_each() {
    let (first, _) = TestSource::of(0..1_u32);
    let (second, _) = TestSource::of(0..1_u32);
    let (first, second) = (
        Flow::from(first).acknowledge(),
        Flow::from(second).acknowledge(),
    );
    let name = |pipeline: &Pipeline| {
        pipeline
            .topology()
            .to_string()
            .lines()
            .next()
            .map(str::to_owned)
    };
    assert!(name(&first).is_some());
    assert_ne!(name(&first), name(&second));
}
