//! Hears in tests what is said to `tracing`.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span, subscriber,
};

/// Keeps what is said, one line for each event.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

struct Line(String);

/// What is said during `act`: the level and the fields of each event.
pub(crate) fn heard(act: impl FnOnce()) -> Vec<String> {
    let listener = Listener::default();
    subscriber::with_default(listener.clone(), act);
    let heard = listener.0.lock().unwrap();
    heard.clone()
}

// === impl Line ===

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0
            .extend([" ", field.name(), "=", &format!("{value:?}")]);
    }
}

// === impl Listener ===

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
