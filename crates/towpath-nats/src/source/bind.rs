//! Finds the consumers that a source receives from, or creates them.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, Config, DeliverPolicy, Info, pull},
};

use super::pulls::Limits;
use crate::{
    JetStreamSourceOptions, NatsError,
    connection::{Answer, Live},
    source_options::DeliverFrom,
};

/// The consumers as the server has them.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) names: Vec<String>,
    pub(super) ack_wait: Duration,
    pub(super) limits: Limits,
    /// How many messages wait for each.
    pub(super) pending: Vec<u64>,
}

/// Finds every consumer of the options, or creates it where it does not exist.
pub(super) async fn bind(
    live: &Live,
    options: &JetStreamSourceOptions,
) -> Result<Bound, NatsError> {
    let mut bound = Bound {
        names: Vec::new(),
        ack_wait: Duration::MAX,
        limits: Limits {
            batch: usize::MAX,
            bytes: options.max_pull_bytes,
            expires: Duration::MAX,
        },
        pending: Vec::new(),
    };
    for (name, filter) in options.consumers() {
        let info = find_or_create(live, options, &name, filter.as_deref()).await?;
        check(options, &info, filter.as_deref())?;
        bound.add(name, &info);
    }
    let expires = options.expires(bound.ack_wait);
    bound.limits.expires = bound.limits.expires.min(expires);
    Ok(bound)
}

impl Bound {
    /// The limits of a consumer are limits here too: it refuses what goes beyond.
    fn add(&mut self, name: String, info: &Info) {
        let config = &info.config;
        self.names.push(name);
        self.pending.push(info.num_pending);
        self.ack_wait = self.ack_wait.min(config.ack_wait);
        let limits = &mut self.limits;
        if let Some(batch) = positive(config.max_batch) {
            limits.batch = limits
                .batch
                .min(usize::try_from(batch).unwrap_or(usize::MAX));
        }
        if let Some(bytes) = positive(config.max_bytes) {
            limits.bytes = limits.bytes.min(bytes);
        }
        if !config.max_expires.is_zero() {
            limits.expires = limits.expires.min(config.max_expires);
        }
    }
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// What asks for nothing in particular: `{}`; `null` is refused.
#[derive(serde::Serialize)]
struct Nothing {}

async fn find_or_create(
    live: &Live,
    options: &JetStreamSourceOptions,
    name: &str,
    filter: Option<&str>,
) -> Result<Info, NatsError> {
    let stream = &options.stream;
    let question = format!("CONSUMER.INFO.{stream}.{name}");
    let answer: Answer<Info> = live.ask(question.clone(), &Nothing {}).await?;
    let error = match answer {
        Ok(info) => return Ok(info),
        Err(error) => error,
    };
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => Err(NatsError::NoStream {
            stream: stream.clone(),
        }),
        ErrorCode::CONSUMER_NOT_FOUND if options.create_consumer => {
            create(live, options, name, filter).await
        }
        ErrorCode::CONSUMER_NOT_FOUND => Err(NatsError::NoConsumer {
            stream: stream.clone(),
            consumer: name.to_owned(),
        }),
        _ => Err(live.refused(question, &error.to_string())),
    }
}

async fn create(
    live: &Live,
    options: &JetStreamSourceOptions,
    name: &str,
    filter: Option<&str>,
) -> Result<Info, NatsError> {
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some("a source of Towpath".to_owned()),
        deliver_policy: policy(options.deliver),
        ack_policy: AckPolicy::Explicit,
        ack_wait: options.ack_wait,
        max_deliver: options.max_deliver.map_or(-1, |times| times.get().into()),
        filter_subject: filter.unwrap_or_default().to_owned(),
        max_ack_pending: options.pending_per_consumer().into(),
        ..pull::Config::default()
    };
    let creating = live
        .jetstream
        .create_consumer_on_stream(config, &options.stream);
    let created = tokio::select! {
        created = creating => created,
        () = live.lost() => return Err(live.is_lost()),
    };
    match created {
        Ok(consumer) => Ok(consumer.cached_info().clone()),
        Err(error) => {
            let asked = format!("to create consumer {name:?} of stream {:?}", options.stream);
            Err(live.refused(asked, &error.to_string()))
        }
    }
}

fn policy(from: DeliverFrom) -> DeliverPolicy {
    match from {
        DeliverFrom::All => DeliverPolicy::All,
        DeliverFrom::New => DeliverPolicy::New,
        DeliverFrom::Last => DeliverPolicy::Last,
        DeliverFrom::LastPerSubject => DeliverPolicy::LastPerSubject,
        DeliverFrom::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
    }
}

/// Whether a consumer that exists can be what the options say.
fn check(
    options: &JetStreamSourceOptions,
    info: &Info,
    filter: Option<&str>,
) -> Result<(), NatsError> {
    let Some((setting, there)) = difference(options, &info.config, filter) else {
        return Ok(());
    };
    Err(NatsError::OtherConsumer {
        consumer: info.name.clone(),
        setting,
        there,
    })
}

fn difference(
    options: &JetStreamSourceOptions,
    config: &Config,
    filter: Option<&str>,
) -> Option<(&'static str, String)> {
    if let Some(subject) = &config.deliver_subject {
        return Some((
            "consumer",
            format!("a subject {subject:?} that it pushes to"),
        ));
    }
    if config.ack_policy != AckPolicy::Explicit {
        let policy = config.ack_policy;
        return Some(("consumer", format!("the acknowledgement policy {policy:?}")));
    }
    if let Some(filter) = filter.filter(|filter| *filter != config.filter_subject) {
        let setting = options.lanes.as_ref().map_or("filter_subject", |_| "lanes");
        let there = &config.filter_subject;
        return Some((setting, format!("the filter {there:?} and not {filter:?}")));
    }
    let pending = config.max_ack_pending;
    if options.lanes.is_some() && pending != 1 {
        let there = format!("a max_ack_pending of {pending}, and a lane has 1");
        return Some(("lanes", there));
    }
    if config.ack_wait < options.ack_wait {
        let (there, here) = (config.ack_wait, options.ack_wait);
        return Some((
            "ack_wait",
            format!("{there:?}, which is shorter than {here:?}"),
        ));
    }
    None
}
