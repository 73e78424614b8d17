//! One run under way: starts workers, hears them, answers them, and stops them when it must. Everything that happens arrives in one
//! channel, so nothing here sleeps or polls, and nothing a worker does can hold up another.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use crate::job::DataSource;
use crate::plan::{Answer, Event, Level, WorkerError};
use crate::process::Program;
use crate::run::SourceStatus;
use crate::secret::Masker;

use super::journal::Journal;
use super::memory::MemoryWatch;
use super::observer::{Notice, Observer};
use super::plan::{self, RunFrame};
use super::policy::StopReason;
use super::source_run::{Effect, SourceReport};
use super::workers::{self, Ending, Handle, Happening};

/// What the supervisor hears.
#[derive(Debug)]
pub(super) enum Message {
    /// Of the worker of a source.
    Worker(usize, Happening),
    /// What the destination says of streams whose worker died while it published.
    Settled(usize, Result<serde_json::Value, WorkerError>),
    /// Of whoever may stop the run.
    Stop(StopReason),
    /// What the run's processes hold comes near the limit: workers were told to make smaller batches.
    Shrunk(String),
    /// The worker of a source holds the most, and was ended at the limit.
    Exceeded(usize, WorkerError),
}

/// How long a run may take and how long its workers have to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The run's time limit.
    pub(super) timeout: Duration,
    /// When it has passed; `None` where that is beyond what the clock can say.
    pub(super) deadline: Option<Instant>,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
    /// The most that asking a destination may take.
    pub(super) inspect: Duration,
}

/// How long the end of a killed worker is waited for: one that the kernel holds in a system call is left behind (P11: 10 s in all).
const LEAVE_BEHIND_AFTER: Duration = Duration::from_millis(1500);

/// A source's place in the run, with its worker.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) handle: Option<Handle>,
    /// When its first worker was started.
    pub(super) started: Option<Instant>,
    pub(super) ending: Option<Ending>,
    pub(super) stage: Stage,
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// It waits for room.
    #[default]
    Queued,
    /// It has a worker, or its worker's last publish is being settled.
    AtWork,
    /// It waits to be tried again.
    Paused(Instant),
    /// Nothing more comes from it.
    Over,
}

impl Post {
    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

/// A run under way.
pub(super) struct Supervisor<'a> {
    pub(super) frame: RunFrame<'a>,
    pub(super) program: &'a Program,
    pub(super) masker: &'a Masker,
    pub(super) specs: Vec<&'a DataSource>,
    pub(super) parallel_max: usize,
    pub(super) times: Times,
    pub(super) journal: &'a mut Journal,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) sender: Sender<Message>,
    pub(super) receiver: Receiver<Message>,
    pub(super) sources: Vec<SourceReport>,
    pub(super) stop: Option<StopReason>,
    pub(super) posts: Vec<Post>,
    pub(super) waiting: VecDeque<usize>,
    pub(super) deadline: Option<Instant>,
    pub(super) watch: Option<MemoryWatch>,
    kill_at: Option<Instant>,
    leave_at: Option<Instant>,
}

/// What a supervisor needs.
pub(super) struct Commission<'a> {
    pub(super) frame: RunFrame<'a>,
    pub(super) program: &'a Program,
    pub(super) masker: &'a Masker,
    pub(super) specs: Vec<&'a DataSource>,
    pub(super) parallel_max: usize,
    pub(super) times: Times,
    pub(super) journal: &'a mut Journal,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) channel: (Sender<Message>, Receiver<Message>),
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(commission: Commission<'a>) -> Self {
        let Commission { frame, program, masker, specs, parallel_max, times, journal, observer, channel } = commission;
        Self {
            sources: specs.iter().map(|source| SourceReport::new(&source.name)).collect(),
            posts: specs.iter().map(|_| Post::default()).collect(),
            waiting: (0..specs.len()).collect(),
            deadline: times.deadline,
            watch: MemoryWatch::start(frame.job.limits.memory_limit_mb, channel.0.clone()),
            kill_at: None,
            leave_at: None,
            stop: None,
            sender: channel.0,
            receiver: channel.1,
            frame,
            program,
            masker,
            specs,
            parallel_max: parallel_max.max(1),
            times,
            journal,
            observer,
        }
    }

    /// Runs every source to its end; returns what is known of each, and what stopped them.
    pub(super) fn run(mut self) -> (Vec<SourceReport>, Option<StopReason>) {
        let run_id = self.frame.run_id;
        self.observer.notice(&Notice::RunStarted { job: self.frame.job.id.as_str(), run_id, sources: &self.sources });
        self.launch();
        while self.is_at_work() {
            match self.next_message() {
                Some(Message::Worker(index, happening)) => self.hear(index, happening),
                Some(Message::Settled(index, answer)) => self.settle(index, answer),
                Some(Message::Stop(reason)) => self.stop(reason),
                Some(Message::Shrunk(figures)) => self.tell(Level::Warn, None, &figures),
                Some(Message::Exceeded(index, error)) => self.sources[index].blame(error),
                None => self.look_at_the_clock(),
            }
            if let Some(failure) = self.journal.failure() {
                self.stop(StopReason::StoreFailed(failure));
            }
            self.journal.show_progress(&self.sources);
            self.launch();
        }
        (self.sources, self.stop)
    }

    fn is_at_work(&self) -> bool {
        self.posts.iter().any(|post| !post.is_over())
    }

    /// Returns the next message, or `None` when a moment has come at which something is due.
    fn next_message(&mut self) -> Option<Message> {
        match self.receiver.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            // Log lines are written together while there is nothing else to do.
            Err(TryRecvError::Empty) => self.journal.flush(),
        }
        let now = Instant::now();
        let due = [self.deadline, self.kill_at, self.leave_at, self.next_attempt_at()].into_iter().flatten().min();
        // Without a limit (one beyond what the clock can say) an hour's wait is as good as any.
        let wait = due.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(now));
        self.receiver.recv_timeout(wait).ok()
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if is_due(self.deadline) {
            self.stop(StopReason::Timeout(self.times.timeout));
        }
        if is_due(self.kill_at) {
            self.kill_at = None;
            self.leave_at = Some(now + LEAVE_BEHIND_AFTER);
            for (index, post) in self.posts.iter().enumerate().filter(|(_, post)| !post.is_over()) {
                if let Some(handle) = &post.handle {
                    handle.kill();
                    self.journal.log(Level::Warn, Some(&self.sources[index].name), None, "its worker did not stop in time and was killed");
                }
            }
        }
        if is_due(self.leave_at) {
            self.leave_at = None;
            let left: Vec<usize> = (0..self.posts.len()).filter(|index| self.posts[*index].stage == Stage::AtWork).collect();
            for index in left {
                self.conclude(index);
            }
        }
        self.queue_due_attempts(now);
    }

    /// Starts workers while there are sources and room.
    fn launch(&mut self) {
        if self.stop.is_some() {
            return self.begin_nothing_more();
        }
        while self.at_work_count() < self.parallel_max {
            let Some(index) = self.waiting.pop_front() else { return };
            self.launch_one(index);
        }
    }

    fn at_work_count(&self) -> usize {
        self.posts.iter().filter(|post| post.stage == Stage::AtWork).count()
    }

    fn launch_one(&mut self, index: usize) {
        if self.posts[index].started.is_some() && !self.may_begin_again(index) {
            return;
        }
        let order = plan::load_order(&self.frame, self.specs[index], self.sources[index].attempt, self.sources[index].streams_over());
        self.sources[index].status = SourceStatus::Running;
        self.posts[index].stage = Stage::AtWork;
        self.posts[index].started.get_or_insert_with(Instant::now);
        self.journal.source_changed(index, &self.sources[index]);
        self.observer.notice(&Notice::SourceStarted { source: &self.sources[index] });
        let sender = self.sender.clone();
        let started = workers::start(self.program, &order, move |happening| {
            // The run may be over before a worker that was left behind.
            let _ = sender.send(Message::Worker(index, happening));
        });
        if let Err(error) = started {
            self.posts[index].ending = Some(Ending { not_started: Some(error.to_string()), ..Ending::default() });
            self.conclude(index);
        }
    }

    fn hear(&mut self, index: usize, happening: Happening) {
        if self.posts[index].is_over() {
            return;
        }
        match happening {
            Happening::Started(handle) => {
                if let Some(watch) = &self.watch {
                    watch.add(index, handle.clone());
                }
                if self.stop.is_some() {
                    handle.stop();
                }
                self.posts[index].handle = Some(handle);
            }
            Happening::Said(event) => self.hear_event(index, event),
            Happening::Garbled(fault) => self.distrust(index, fault),
            Happening::Ended(ending) => self.take_leave(index, ending),
        }
    }

    fn hear_event(&mut self, index: usize, mut event: Event) {
        mask(&mut event, self.masker);
        if let Event::Log { level, stream, message } = &event {
            self.journal.log(*level, Some(&self.sources[index].name), stream.as_deref(), message);
            let source = Some(self.sources[index].name.as_str());
            self.observer.notice(&Notice::Log { level: *level, source, stream: stream.as_deref(), message });
        }
        let told = match &event {
            Event::Progress { stream, .. } | Event::Phase { stream, .. } => Some(stream.clone()),
            _ => None,
        };
        match self.sources[index].accept(event) {
            Ok(effect) => self.follow(index, &effect),
            Err(fault) => return self.distrust(index, fault),
        }
        let source = &self.sources[index];
        if let Some(stream) = told.and_then(|name| source.streams.iter().find(|stream| stream.name == name)) {
            self.observer.notice(&Notice::Progress { source, stream });
        }
    }

    fn follow(&mut self, index: usize, effect: &Effect) {
        match effect {
            Effect::None | Effect::Phase => {}
            Effect::Declared => {
                let published = plan::published_streams(&self.frame, &self.sources[index].name);
                self.sources[index].leave_out(&published);
                self.journal.streams_declared(&self.sources[index]);
            }
            Effect::Ready(stream) => self.answer(index, *stream),
            Effect::Published(stream) | Effect::Failed(stream) => {
                self.journal.stream_ended(&self.sources[index], *stream);
                self.tell_held_cursor(index, *stream);
                let source = &self.sources[index];
                self.observer.notice(&Notice::StreamEnded { source, stream: &source.streams[*stream] });
            }
        }
    }

    /// Tells people and the log.
    pub(super) fn tell(&mut self, level: Level, source: Option<&str>, message: &str) {
        self.journal.log(level, source, None, message);
        self.observer.notice(&Notice::Log { level, source, stream: None, message });
    }

    /// Warns where a cursor stays run after run, because somebody always has a transaction open.
    fn tell_held_cursor(&mut self, index: usize, stream: usize) {
        let source = &self.sources[index];
        let Some(result) = &source.streams[stream].result else { return };
        let Some(message) = self.journal.held_cursor(self.frame.job.id.as_str(), &source.name, result) else { return };
        let (source, stream) = (Some(source.name.as_str()), Some(result.stream.as_str()));
        self.journal.log(Level::Warn, source, stream, &message);
        self.observer.notice(&Notice::Log { level: Level::Warn, source, stream, message: &message });
    }

    /// Answers `ready`: the lease is renewed here and now, so that no other run can have begun, and only then may it publish.
    fn answer(&mut self, index: usize, stream: usize) {
        let reason = match self.deadline {
            _ if self.stop.is_some() => None,
            Some(deadline) if deadline <= Instant::now() => Some(StopReason::Timeout(self.times.timeout)),
            _ => self.journal.renew().err(),
        };
        // A signal may be in the channel behind this event; it is heard next, and the worker's own answer to it decides.
        let answer = if self.stop.is_none() && reason.is_none() { Answer::Publish } else { Answer::Drop };
        match answer {
            Answer::Publish => self.sources[index].allow(stream),
            Answer::Drop | Answer::Stop | Answer::Shrink => self.sources[index].refuse(stream),
        }
        if let Some(handle) = &self.posts[index].handle {
            handle.answer(answer);
        }
        if let Some(reason) = reason {
            self.stop(reason);
        }
    }

    fn distrust(&mut self, index: usize, fault: String) {
        if let Some(handle) = &self.posts[index].handle {
            handle.kill();
        }
        self.sources[index].blame(workers::garbled(&self.masker.mask(&fault)));
    }

    /// Stops the run: no publish from now on, nothing new is begun, workers are asked to roll back and end.
    pub(super) fn stop(&mut self, reason: StopReason) {
        if self.stop.is_some() {
            self.deadline = None;
            return;
        }
        self.observer.notice(&Notice::Stopping { reason: &reason });
        self.journal.log(Level::Warn, None, None, &reason.message());
        // The grace counts from the limit itself, however late that is noticed.
        let since = self.deadline.filter(|_| matches!(reason, StopReason::Timeout(_))).unwrap_or_else(Instant::now);
        self.stop = Some(reason);
        self.deadline = None;
        self.kill_at = Some(since + self.times.grace);
        for handle in self.posts.iter().filter(|post| !post.is_over()).filter_map(|post| post.handle.as_ref()) {
            handle.stop();
        }
    }

    pub(super) fn conclude(&mut self, index: usize) {
        let post = &mut self.posts[index];
        if post.is_over() {
            return;
        }
        let ending = post.ending.take().unwrap_or_default();
        let source = &mut self.sources[index];
        source.duration_seconds = post.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let warning = source.conclude(&ending, self.stop.as_ref());
        if let Some(warning) = warning {
            self.journal.log(Level::Warn, Some(&source.name), None, &warning);
        }
        if self.pause(index) {
            return;
        }
        self.end(index);
    }

    /// Ends a source: nothing more comes from it.
    pub(super) fn end(&mut self, index: usize) {
        self.posts[index].stage = Stage::Over;
        self.log_reasons(index);
        self.observer.notice(&Notice::SourceEnded { source: &self.sources[index] });
        // The last one is written by the closing of the run, which follows at once.
        if self.is_at_work() {
            self.journal.source_changed(index, &self.sources[index]);
        }
    }
}

/// Hides secrets in everything of an event that people will read.
fn mask(event: &mut Event, masker: &Masker) {
    let mask_error = |error: &mut WorkerError| {
        error.message = masker.mask(&error.message);
        error.hint = error.hint.take().map(|hint| masker.mask(&hint));
    };
    match event {
        Event::Log { message, .. } => *message = masker.mask(message),
        Event::StreamFailed { error, .. } | Event::Finished { error: Some(error) } => mask_error(error),
        Event::Published(result) => result.statements.iter_mut().for_each(|statement| *statement = masker.mask(statement)),
        _ => {}
    }
}
