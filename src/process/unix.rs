//! Child processes on unix: own group, no core file, dead with their parent (Linux), ended by signals, measured by wait4(2).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{Ended, Exit, Program, Stop, StopSignal, Usage};

/// A started process with its three pipes. Whoever spawned it waits for it on the same thread: on Linux the child is killed when
/// the *thread* that made it ends (prctl(2), PR_SET_PDEATHSIG).
#[derive(Debug)]
pub struct Child {
    /// Its control.
    pub process: Process,
    /// Its standard input.
    pub stdin: ChildStdin,
    /// Its standard output.
    pub stdout: ChildStdout,
    /// Its standard error.
    pub stderr: ChildStderr,
}

/// Controls a child; clones control the same one. After its end every call is without effect, never aimed at a stranger.
#[derive(Debug, Clone)]
pub struct Process(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Once reaped, the number may name another process.
    is_reaped: Mutex<bool>,
}

/// Makes a write beyond the largest size of a file (setrlimit(2), RLIMIT_FSIZE) fail as one on a full disk does, with an error that
/// can be told and cleaned up after; by default it kills. Programs that are started take this over.
pub fn fail_on_large_files() {
    // SAFETY: no handler is installed; to ignore a signal is safe at any time.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether a file is a pipe or socket whose other end is closed (poll(2)).
pub fn has_no_reader(file: &impl std::os::fd::AsFd) -> bool {
    use std::os::fd::AsRawFd;
    let mut asked = libc::pollfd { fd: file.as_fd().as_raw_fd(), events: 0, revents: 0 };
    // SAFETY: one entry, alive during the call, which waits for nothing.
    let found = unsafe { libc::poll(&raw mut asked, 1, 0) };
    found > 0 && asked.revents & (libc::POLLERR | libc::POLLHUP) != 0
}

/// Keeps the memory of this process, which holds secrets, from other processes of the same user and from core files, also those that the
/// system hands to a program (core(5), prctl(2) PR_SET_DUMPABLE; execve(2) takes it back, so workers do it too).
pub fn keep_memory_private() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call with a pointer to a value that lives through it. To lower a limit is always allowed.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    // Mounted with hidepid, /proc would hide such a process from its own user too: nobody could keep it to its memory limit.
    #[cfg(target_os = "linux")]
    if std::fs::File::open("/proc/1/stat").is_ok() {
        // SAFETY: a plain system call with integers, which these can't fail.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0 as libc::c_ulong) };
    }
}

/// Starts a program.
///
/// # Errors
/// Whatever keeps it from being started.
pub fn spawn(program: &Program) -> io::Result<Child> {
    let Program { program: executable, arguments, variables_removed, niceness } = program;
    let mut command = Command::new(executable);
    command.args(arguments);
    for name in variables_removed {
        command.env_remove(name);
    }
    #[cfg(target_os = "linux")]
    if let Some(folders) = library_folders(std::env::var_os("LD_LIBRARY_PATH")) {
        command.env("LD_LIBRARY_PATH", folders);
    }
    let niceness = i32::from(*niceness);
    if niceness > 0 {
        // SAFETY: between fork and exec a plain system call with an integer. That it is refused is no reason not to work.
        unsafe {
            command.pre_exec(move || {
                libc::nice(niceness);
                Ok(())
            });
        }
    }
    start(&mut command)
}

/// Returns where a child looks for libraries, when that is more than what its parent does: Debian keeps ODBC drivers in a folder of their own,
/// which the loader doesn't know, and names them in `odbcinst.ini` without it.
#[cfg(target_os = "linux")]
fn library_folders(known: Option<std::ffi::OsString>) -> Option<std::ffi::OsString> {
    let own = std::path::PathBuf::from(format!("/usr/lib/{}-linux-gnu/odbc", std::env::consts::ARCH));
    // An empty one would be the present folder.
    let mut folders: Vec<_> = std::env::split_paths(&known.unwrap_or_default()).filter(|folder| !folder.as_os_str().is_empty()).collect();
    if folders.contains(&own) || !own.is_dir() {
        return None;
    }
    folders.push(own);
    std::env::join_paths(folders).ok()
}

/// Starts what a command says, with pipes.
///
/// # Errors
/// As for [`spawn`].
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec and only makes system calls that are async-signal-safe: no allocation, no locks.
    unsafe { command.pre_exec(move || settle_in(parent)) };
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let missing = || io::Error::other("a pipe of the child is missing");
    Ok(Child {
        stdin: child.stdin.take().ok_or_else(missing)?,
        stdout: child.stdout.take().ok_or_else(missing)?,
        stderr: child.stderr.take().ok_or_else(missing)?,
        process: Process(Arc::new(Shared { pid, is_reaped: Mutex::new(false) })),
    })
}

/// In the child, before exec: no core file (it would hold secrets), and death with the parent.
fn settle_in(parent: Pid) -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain system call with a pointer to a value that lives through it.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a plain system call with integers.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The parent may have died between fork and prctl: then nobody would send the signal any more.
    // SAFETY: getppid can't fail.
    if unsafe { libc::getppid() } != parent.as_raw_nonzero().get() {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

impl Process {
    /// Returns its number.
    pub fn id(&self) -> u32 {
        self.0.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Asks it and its children to end: SIGTERM. Returns whether the system has such a request.
    pub fn terminate(&self) -> bool {
        self.signal(Signal::TERM);
        true
    }

    /// Ends it and its children: SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let is_reaped = self.0.is_reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_reaped {
            // A process that has just ended is no error.
            let _ = rustix::process::kill_process_group(self.0.pid, signal);
        }
    }

    /// Waits for its end. What is left of its group is ended too, so that its pipes close.
    ///
    /// # Errors
    /// When it was waited for before.
    pub fn wait(&self) -> io::Result<Ended> {
        // First without reaping, so that the number stays its own until nobody can signal it any more.
        loop {
            match rustix::process::waitid(WaitId::Pid(self.0.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut is_reaped = self.0.is_reaped.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = rustix::process::kill_process_group(self.0.pid, Signal::KILL);
        let ended = reap(self.0.pid)?;
        *is_reaped = true;
        Ok(ended)
    }
}

fn reap(pid: Pid) -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live through the call.
        if unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, &mut usage) } >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let exit = if libc::WIFSIGNALED(status) { Exit::Signal(libc::WTERMSIG(status)) } else { Exit::Code(libc::WEXITSTATUS(status)) };
    Ok(Ended { exit, usage: Usage { cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), peak_memory_mb: peak_mb(&usage) } })
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// KiB on Linux, bytes on macOS (getrusage(2) of each).
fn peak_mb(usage: &libc::rusage) -> f64 {
    let unit = if cfg!(target_os = "macos") { 1024.0 * 1024.0 } else { 1024.0 };
    usage.ru_maxrss as f64 / unit
}

/// Hears SIGINT, SIGTERM and SIGHUP (the terminal is gone) on a thread of its own. What was started under nohup(1) keeps ignoring SIGHUP.
pub(super) fn watch_signals(stop: Stop) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let signal = if signal == SIGINT { StopSignal::Interrupt } else { StopSignal::Terminate };
            if !stop.request(signal) {
                signal_hook::low_level::exit(i32::from(signal.exit_code()));
            }
        }
    })?;
    Ok(())
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: sigaction is a plain structure, for which zeros are values; with no new action the call only fills it in.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn shell(script: &str, variables_removed: &[&str]) -> Child {
        let variables_removed = variables_removed.iter().map(|name| (*name).to_owned()).collect();
        let program = Program { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], variables_removed, niceness: 0 };
        spawn(&program).expect("a shell can be started")
    }

    fn said(child: &mut Child) -> String {
        let mut text = String::new();
        child.stdout.read_to_string(&mut text).expect("the shell writes text");
        text
    }

    #[test]
    fn a_child_gets_its_input_gives_its_output_and_is_measured() {
        let mut child = shell("read line; echo got $line; exit 7", &[]);
        child.stdin.write_all(b"word\n").expect("the shell reads");
        assert_eq!(said(&mut child), "got word\n");
        let ended = child.process.wait().expect("it was not waited for");
        assert_eq!(ended.exit, Exit::Code(7));
        assert!(ended.usage.peak_memory_mb > 0.1 && ended.usage.peak_memory_mb < 1000.0, "{:?}", ended.usage);
    }

    #[test]
    fn a_child_makes_no_core_file_and_leads_its_own_group() {
        let mut child = shell("ulimit -c; ps -o pgid= -p $$ | tr -d ' '; echo $$", &[]);
        let text = said(&mut child);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "0");
        assert_eq!(lines[1], lines[2]);
        child.process.wait().expect("it was not waited for");
    }

    #[test]
    fn a_variable_that_is_removed_does_not_reach_the_child() {
        let mut child = shell("echo ${PATH+set} ${HOME-none}", &["HOME"]);
        assert_eq!(said(&mut child), "set none\n");
        child.process.wait().expect("it was not waited for");
    }

    #[test]
    fn a_child_gives_way_by_as_much_as_it_is_told() {
        let niceness = |niceness| {
            let arguments = vec!["-c".into(), "nice".into()];
            let mut child = spawn(&Program { program: "/bin/sh".into(), arguments, variables_removed: vec![], niceness }).expect("a shell");
            let text = said(&mut child);
            child.process.wait().expect("it was not waited for");
            text.trim().parse::<u8>().expect("nice(1) prints a number")
        };
        let own = niceness(0);
        assert_eq!((niceness(7), niceness(19)), ((own + 7).min(19), 19));
    }

    #[test]
    fn terminate_asks_and_kill_ends_what_does_not_listen() {
        let polite = shell("trap 'exit 3' TERM; echo ready; while :; do sleep 1; done", &[]);
        let mut polite = polite;
        let mut one = [0_u8; 6];
        polite.stdout.read_exact(&mut one).expect("it says ready");
        assert!(polite.process.terminate());
        assert_eq!(polite.process.wait().expect("it was not waited for").exit, Exit::Code(3));

        let mut deaf = shell("trap '' TERM; echo ready; while :; do sleep 1; done", &[]);
        deaf.stdout.read_exact(&mut one).expect("it says ready");
        deaf.process.terminate();
        deaf.process.kill();
        assert_eq!(deaf.process.wait().expect("it was not waited for").exit, Exit::Signal(9));
        deaf.process.kill();
    }

    #[test]
    fn grandchildren_that_hold_the_pipes_do_not_outlive_the_child() {
        let mut child = shell("sleep 1000 & echo started", &[]);
        child.process.wait().expect("it was not waited for");
        assert_eq!(said(&mut child), "started\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let program = Program { program: "/nowhere/etlsched".into(), arguments: vec![], variables_removed: vec![], niceness: 0 };
        assert_eq!(spawn(&program).expect_err("there is none").kind(), io::ErrorKind::NotFound);
    }
}
