//! The end of a worker: its last words, and what it published without saying so.

use std::thread;

use crate::plan::{Level, WorkerError};

use super::observer::Notice;
use super::supervisor::{Message, Supervisor};
use super::workers::{self, Ending};
use super::{plan, settle};

impl Supervisor<'_> {
    /// Takes the end of a worker: where it died between the leave to publish and its report, the destination knows.
    pub(super) fn take_leave(&mut self, index: usize, mut ending: Ending) {
        ending.stderr = self.masker.mask(&ending.stderr);
        if let Some(watch) = &self.watch {
            watch.remove(index);
        }
        self.note_last_words(index, &ending);
        self.posts[index].handle = None;
        self.posts[index].ending = Some(ending);
        let unsettled = self.sources[index].unsettled();
        if unsettled.is_empty() || self.frame.dry_run.is_some() {
            return self.conclude(index);
        }
        let targets = unsettled.iter().map(|stream| self.sources[index].streams[*stream].target.clone()).collect();
        let order = plan::inspect_order(self.frame.job, self.frame.workspace_id, targets);
        let (program, sender, timeout) = (self.program.clone(), self.sender.clone(), self.times.inspect);
        let asked = thread::Builder::new().name("settle".to_owned()).spawn(move || {
            let _ = sender.send(Message::Settled(index, workers::ask(&program, &order, timeout)));
        });
        if let Err(error) = asked {
            self.settle(index, Err(workers::not_started(&error.to_string())));
        }
    }

    fn note_last_words(&mut self, index: usize, ending: &Ending) {
        let name = self.sources[index].name.clone();
        if ending.log_lines_left_out > 0 {
            let text = format!("{} left out", crate::text::count(ending.log_lines_left_out, "further log line"));
            self.journal.log(Level::Warn, Some(&name), None, &text);
        }
        let is_clean = ending.process.is_some_and(|ended| ended.exit.is_done());
        let level = if is_clean { Level::Info } else { Level::Error };
        for line in ending.stderr.lines().filter(|line| !line.trim().is_empty()) {
            let text = format!("worker: {line}");
            self.journal.log(level, Some(&name), None, &text);
            self.observer.notice(&Notice::Log { level, source: Some(&name), stream: None, message: &text });
        }
    }

    pub(super) fn settle(&mut self, index: usize, answer: Result<serde_json::Value, WorkerError>) {
        for stream in self.sources[index].unsettled() {
            let source = &self.sources[index];
            let found = settle::published(&answer, self.frame.run_id, &source.name, &source.streams[stream]);
            let text = match found {
                Ok(Some(result)) => {
                    self.sources[index].settle_published(stream, result);
                    self.journal.stream_ended(&self.sources[index], stream);
                    "its worker died after the publish and before its report: the destination holds the load".to_owned()
                }
                Ok(None) => "its worker died before the publish: the destination is as it was".to_owned(),
                Err(why) => format!("its worker died while it published, and the destination can't tell whether it did: {why}"),
            };
            let (source, stream) = (self.sources[index].name.clone(), self.sources[index].streams[stream].name.clone());
            self.journal.log(Level::Warn, Some(&source), Some(&stream), &self.masker.mask(&text));
        }
        self.conclude(index);
    }
}
