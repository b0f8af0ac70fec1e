//! How a rule is checked: in a thread and a runtime of its own, within a time.

use std::{
    any::Any,
    sync::{
        PoisonError, RwLock,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::{Broken, Clock, Rule};

/// As long as any rule may take, starts of servers included.
const LONGEST: Duration = Duration::from_secs(240);

/// Rules run beside each other, but for those that measure what the process does.
static COMPANY: RwLock<()> = RwLock::new(());

/// Whether a rule is kept.
pub(super) type Verdict<T = ()> = Result<T, Broken>;

/// Checks one rule on a runtime of its own. `alone` keeps the others of this process away.
pub(super) fn on_trial(
    rule: Rule,
    clock: Clock,
    alone: bool,
    check: impl AsyncFnOnce() -> Verdict + Send + 'static,
) -> Verdict {
    let _alone = alone.then(|| COMPANY.write().unwrap_or_else(PoisonError::into_inner));
    let _beside = (!alone).then(|| COMPANY.read().unwrap_or_else(PoisonError::into_inner));
    let (sender, receiver) = sync_channel(1);
    let trial = thread::spawn(move || {
        let runtime = runtime(clock);
        let verdict = runtime.block_on(check());
        // What hangs in a blocking call must not hang the test.
        runtime.shutdown_timeout(Duration::from_secs(1));
        drop(sender.send(verdict));
    });
    match receiver.recv_timeout(LONGEST) {
        Ok(verdict) => verdict,
        Err(RecvTimeoutError::Timeout) => {
            Err(rule.broken(format!("it has not come to an end after {LONGEST:?}")))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = trial.join().err();
            let text = panic.as_deref().map_or("without a word", text_of);
            Err(rule.broken(format!("a panic: {text}")))
        }
    }
}

fn runtime(clock: Clock) -> Runtime {
    let mut builder = match clock {
        Clock::Real => Builder::new_multi_thread(),
        Clock::Paused => Builder::new_current_thread(),
    };
    let builder = builder.enable_all().worker_threads(2);
    let builder = builder.start_paused(clock == Clock::Paused);
    builder
        .build()
        .expect("a runtime of two threads can be built")
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a text")
}
