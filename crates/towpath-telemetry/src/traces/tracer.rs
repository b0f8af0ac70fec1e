//! Chooses the messages of one pipeline that are traced.

use std::{iter, sync::Arc, time::Duration};

use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;
use towpath_core::{
    Headers, Origin, StageName,
    trace::{Arrival, Begun, Tracer},
};

use super::{
    chance::Chance,
    clock::Clock,
    names,
    propagation::Incoming,
    scene::{Scene, Setting},
    span::MessageSpan,
    steps,
};

/// How much of the wait for its source a receipt shows: after an idle hour the rest of the
/// trace could not be seen beside all of it, and it would begin long before its parent.
const SHOWN: Duration = Duration::from_secs(1);

/// The tracer of a pipeline, shared by its sources.
pub(super) struct PipelineTracer {
    setting: Setting,
    pipeline: KeyValue,
    chance: Chance,
    began: Instant,
}

/// A message of a chunk that is traced, and what it is a part of.
type Chosen = (u32, Context);

// === impl PipelineTracer ===

impl PipelineTracer {
    /// For a pipeline that begins now.
    pub(super) fn new(setting: Setting, pipeline: &StageName, chance: Chance) -> Self {
        let pipeline: Arc<str> = pipeline.as_str().into();
        Self {
            setting,
            pipeline: KeyValue::new(names::PIPELINE, pipeline),
            chance,
            began: Instant::now(),
        }
    }

    /// By chance alone: nothing is known of the messages.
    fn choose_unseen(&self, count: u32) -> Vec<Chosen> {
        let drawn = self.chance.draw(count).into_iter();
        drawn.zip(iter::repeat_with(Context::new)).collect()
    }

    /// As the senders decided; by chance where they did not.
    fn choose(&self, origins: &[Origin]) -> Vec<Chosen> {
        let mut chosen = Vec::new();
        let mut undecided = 0;
        for (index, origin) in (0..).zip(origins) {
            match self.setting.propagation.incoming(&origin.headers) {
                Incoming::Undecided => undecided += 1,
                Incoming::Refused => {}
                Incoming::Chosen(context) => chosen.push((index, context)),
            }
        }
        let drawn = self.chance.draw(undecided);
        if !drawn.is_empty() {
            let drawn = self.indices(origins, undecided, drawn);
            chosen.extend(drawn.into_iter().filter_map(|index| {
                let origin = origins.get(usize::try_from(index).ok()?)?;
                Some((index, self.setting.propagation.extract(&origin.headers)))
            }));
            chosen.sort_by_key(|(index, _)| *index);
        }
        chosen
    }

    /// Where those drawn are, whose places among the undecided are known.
    fn indices(&self, origins: &[Origin], undecided: u32, drawn: Vec<u32>) -> Vec<u32> {
        if usize::try_from(undecided) == Ok(origins.len()) {
            return drawn;
        }
        let propagation = &self.setting.propagation;
        let is_undecided =
            |headers: &Headers| matches!(propagation.incoming(headers), Incoming::Undecided);
        let undecided = (0..)
            .zip(origins)
            .filter(|(_, origin)| is_undecided(&origin.headers));
        let mut drawn = drawn.into_iter().peekable();
        (0..)
            .zip(undecided)
            .filter(|(place, _)| drawn.next_if_eq(place).is_some())
            .map(|(_, (index, _))| index)
            .collect()
    }

    #[cold]
    fn receipts(&self, arrival: &Arrival<'_>, chosen: Vec<Chosen>) -> Vec<Begun> {
        let scene = Arc::new(Scene {
            setting: self.setting.clone(),
            pipeline: self.pipeline.clone(),
            source: arrival.source.clone(),
            peer: arrival.peer.clone(),
            clock: Clock::new(self.began),
        });
        let waited = arrival.came_at.saturating_sub(arrival.asked_at);
        let shown_from = arrival.came_at.saturating_sub(waited.min(SHOWN));
        let times = (shown_from, arrival.came_at);
        let receipt = |(index, parent): Chosen| {
            let origin = arrival.origins.get(usize::try_from(index).ok()?);
            let draft = steps::receipt(&scene, origin, waited);
            let root = MessageSpan::receipt(scene.clone(), draft, times, &parent)?;
            let root = Arc::new(root);
            Some(Begun { index, root })
        };
        chosen.into_iter().filter_map(receipt).collect()
    }
}

impl Tracer for PipelineTracer {
    fn begin(&self, arrival: &Arrival<'_>) -> Vec<Begun> {
        let chosen = match arrival.origins {
            [] => self.choose_unseen(arrival.count),
            origins => self.choose(origins),
        };
        if chosen.is_empty() {
            return Vec::new();
        }
        self.receipts(arrival, chosen)
    }
}
