//! What the user sees while the demo runs: on a terminal a bar and a live table of states, else a line per change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::watch::Watch;
use crate::output;

const REDRAW: Duration = Duration::from_millis(100);
/// Lines that nobody sees live are for reading later: not too many.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// What is being waited for.
struct Act {
    title: String,
    goal: &'static str,
}

pub struct Progress {
    act: Mutex<Act>,
    total: u64,
    screen: Option<Screen>,
}

impl Progress {
    /// `total` is the number of nodes.
    pub fn new(total: u32) -> Self {
        let screen = std::io::stderr().is_terminal().then(|| Screen::new(total.into()));
        Self { act: Mutex::new(Act { title: String::new(), goal: "" }), total: total.into(), screen }
    }

    /// From now on nodes are on their way to the state `goal`.
    pub fn act(&self, title: &str, goal: &'static str) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = Act { title: title.to_owned(), goal };
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        match &self.screen {
            // Fails only when the terminal is gone.
            Some(screen) => drop(screen.all.println(text)),
            None => output::complain(text),
        }
    }

    /// Draws what `watch` sees until cancelled.
    pub async fn follow(&self, watch: &Watch) -> Infallible {
        let mut last = String::new();
        let mut printed: Option<Instant> = None;
        loop {
            let counts = watch.counts();
            let (title, goal) = {
                let act = self.act.lock().unwrap_or_else(PoisonError::into_inner);
                (act.title.clone(), act.goal)
            };
            match &self.screen {
                Some(screen) => screen.draw(&title, &counts, goal),
                None => {
                    let states = counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
                    let line = format!("{title}: {states}");
                    let done = counts.get(goal).is_some_and(|count| *count == self.total);
                    if line != last && !states.is_empty() && (done || printed.is_none_or(|at| at.elapsed() >= LINE_EVERY)) {
                        output::complain(&format!("{:6.1} s  {line}", watch.elapsed().as_secs_f64()));
                        last = line;
                        printed = Some(Instant::now());
                    }
                }
            }
            tokio::time::sleep(REDRAW).await;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(screen) = &self.screen {
            let _ = screen.all.clear();
        }
    }
}

/// A bar of all nodes, and below it one for each state that there are nodes in.
struct Screen {
    all: MultiProgress,
    whole: ProgressBar,
    states: Mutex<BTreeMap<String, ProgressBar>>,
    total: u64,
}

impl Screen {
    fn new(total: u64) -> Self {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(total).with_style(style("{elapsed:>4} {msg:24} {bar:40} {pos}/{len}")));
        Self { all, whole, states: Mutex::default(), total }
    }

    fn draw(&self, title: &str, counts: &BTreeMap<String, u64>, goal: &str) {
        self.whole.set_message(title.to_owned());
        self.whole.set_position(counts.get(goal).copied().unwrap_or(0));
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|state, bar| {
            let shown = counts.contains_key(state);
            if !shown {
                self.all.remove(bar);
            }
            shown
        });
        for (state, count) in counts {
            let bar = states.entry(state.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(self.total).with_style(style("     {msg:24} {bar:40.dim} {pos}")));
                bar.with_message(state.clone())
            });
            bar.set_position(*count);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
