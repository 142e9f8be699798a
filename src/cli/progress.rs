//! What a run is doing, on standard error: a line that changes on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::executor::progress::{Observer, RunStep};

/// How often the elapsed time is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// Shows the steps of one run. Dropped, it clears its line.
pub(crate) struct ProgressLine {
    line: Arc<Line>,
}

struct Line {
    bar: Option<ProgressBar>,
    to_stop: AtomicUsize,
    asked: AtomicUsize,
    confirmed: AtomicUsize,
    said: Mutex<String>,
}

impl ProgressLine {
    pub(crate) fn start(rule: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            // A template that does not parse would only lose its looks.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            bar
        });
        let line = Line {
            bar,
            to_stop: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            confirmed: AtomicUsize::new(0),
            said: Mutex::default(),
        };
        line.say(format!("{rule}: listing deployments"));
        Self { line: Arc::new(line) }
    }

    /// To be told the steps.
    pub(crate) fn observer(&self) -> Observer {
        let line = Arc::clone(&self.line);
        Arc::new(move |step| line.take(step))
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.line.bar {
            bar.finish_and_clear();
        }
    }
}

impl Line {
    fn take(&self, step: &RunStep) {
        match step {
            RunStep::Decided { stop, leave } => {
                self.to_stop.store(*stop, Ordering::Relaxed);
                self.asked.store(0, Ordering::Relaxed);
                self.confirmed.store(0, Ordering::Relaxed);
                self.say(format!("{stop} to stop, {leave} left"));
                return;
            }
            RunStep::Asked(count) => self.asked.fetch_add(*count, Ordering::Relaxed),
            RunStep::Confirmed(count) => self.confirmed.fetch_add(*count, Ordering::Relaxed),
        };
        let (asked, confirmed) = (self.asked.load(Ordering::Relaxed), self.confirmed.load(Ordering::Relaxed));
        let to_stop = self.to_stop.load(Ordering::Relaxed);
        self.say(if confirmed > 0 || asked >= to_stop {
            format!("confirming {confirmed} of {asked}")
        } else {
            format!("stopping {asked} of {to_stop}")
        });
    }

    fn say(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != text {
            // Whoever closed standard error does not want to know.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
            *said = text;
        }
    }
}
