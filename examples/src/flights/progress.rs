//! What a person sees while it runs: how much of the file is read, and each stage with its rate.

use std::convert::Infallible;
use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::time::{self, MissedTickBehavior};

const EVERY: Duration = Duration::from_millis(100);

const FILE: &str =
    "{prefix:<12.bold} {bar:30.cyan/dim} {percent:>3} %  {bytes} of {total_bytes}, {eta} to go";
const FILE_OF_UNKNOWN_SIZE: &str = "{prefix:<12.bold} {bytes}, {elapsed}";
const STAGE: &str = "{prefix:<12.bold} {human_pos:>12} {rate:>12}";

/// A display on the terminal, or none where there is no terminal.
#[derive(Debug)]
pub struct Progress(Option<Bars>);

/// How far the run is.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Bytes taken out of the file.
    pub bytes: u64,
    /// Name and count of each stage, in their order.
    pub stages: Vec<(String, u64)>,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    file: ProgressBar,
    stages: Vec<ProgressBar>,
}

// === impl Progress ===

impl Progress {
    /// On standard error if that is a terminal. `size` is that of the file in bytes, 0 if unknown.
    pub fn on_terminal(size: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        Self::on(ProgressDrawTarget::stderr(), size)
    }

    /// No display at all.
    pub fn none() -> Self {
        Self(None)
    }

    /// On any target.
    pub fn on(target: ProgressDrawTarget, size: u64) -> Self {
        Self(Some(Bars::new(target, size)))
    }

    /// Shows a sample ten times a second, until it is dropped.
    ///
    /// # Cancel safety
    /// Cancel safe, and the way to end it.
    pub async fn watch(&mut self, mut sample: impl FnMut() -> Sample) -> Infallible {
        let mut ticks = time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if self.0.is_none() {
                std::future::pending::<()>().await;
            }
            self.show(&sample());
        }
    }

    /// Shows a sample now.
    pub fn show(&mut self, sample: &Sample) {
        if let Some(bars) = &mut self.0 {
            bars.show(sample);
        }
    }

    /// Takes the display off the terminal.
    pub fn clear(self) {
        if let Some(bars) = self.0 {
            bars.clear();
        }
    }
}

// === impl Bars ===

impl Bars {
    fn new(target: ProgressDrawTarget, size: u64) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let template = if size == 0 {
            FILE_OF_UNKNOWN_SIZE
        } else {
            FILE
        };
        let file = all.add(bar(Some(size).filter(|size| *size > 0), template, "file"));
        Self {
            all,
            file,
            stages: Vec::new(),
        }
    }

    fn show(&mut self, sample: &Sample) {
        self.file.set_position(sample.bytes);
        for (name, _) in sample.stages.iter().skip(self.stages.len()) {
            self.stages.push(self.all.add(bar(None, STAGE, name)));
        }
        for (bar, (_, count)) in self.stages.iter().zip(&sample.stages) {
            bar.set_position(*count);
        }
    }

    fn clear(self) {
        for bar in self.stages.iter().chain([&self.file]) {
            bar.finish_and_clear();
        }
    }
}

fn bar(length: Option<u64>, template: &str, name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates are constants");
    let style = style.with_key("rate", |bar: &ProgressState, out: &mut dyn fmt::Write| {
        // The display cannot fail, and would have nobody to tell.
        write!(out, "{:.0}/s", bar.per_sec()).unwrap_or_default();
    });
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style).with_prefix(name.to_owned())
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    fn sample(bytes: u64) -> Sample {
        let stages = [("decode", 1234), ("enrich", 600)];
        Sample {
            bytes,
            stages: stages
                .map(|(name, count)| (name.to_owned(), count))
                .to_vec(),
        }
    }

    fn shown(size: u64) -> (InMemoryTerm, Progress) {
        let terminal = InMemoryTerm::new(10, 100);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let mut progress = Progress::on(target, size);
        progress.show(&sample(500));
        progress.show(&sample(500));
        (terminal, progress)
    }

    #[test]
    fn file_and_stages_have_a_line_each() {
        let (terminal, _progress) = shown(1000);
        let screen = terminal.contents();
        let lines: Vec<_> = screen.lines().collect();
        assert_eq!(lines.len(), 3, "{screen}");
        assert!(
            lines[0].contains("50 %") && lines[0].contains("to go"),
            "{screen}"
        );
        assert!(
            lines[1].starts_with("decode") && lines[1].contains("1,234"),
            "{screen}"
        );
        assert!(
            lines[2].starts_with("enrich") && lines[2].contains("/s"),
            "{screen}"
        );
    }

    #[test]
    fn of_a_file_of_unknown_size_no_end_is_foretold() {
        let (terminal, _progress) = shown(0);
        let screen = terminal.contents();
        assert!(
            !screen.contains("to go") && screen.contains("500 B"),
            "{screen}"
        );
    }

    #[test]
    fn nothing_stays_on_the_terminal() {
        let (terminal, progress) = shown(1000);
        progress.clear();
        assert_eq!(terminal.contents(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_terminal_nobody_is_asked_for_a_sample() {
        let mut progress = Progress(None);
        let watch = progress.watch(|| panic!("asked"));
        assert!(time::timeout(EVERY * 3, watch).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_terminal_samples_are_taken_at_every_tick() {
        let terminal = InMemoryTerm::new(10, 100);
        let mut progress = Progress::on(ProgressDrawTarget::term_like(Box::new(terminal)), 1000);
        let mut asked = 0;
        let watch = progress.watch(|| {
            asked += 1;
            sample(asked)
        });
        assert!(time::timeout(EVERY * 5 / 2, watch).await.is_err());
        assert_eq!(asked, 3);
    }
}
