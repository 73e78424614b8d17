//! Child processes on Windows: own console group, in a job object that ends them with their parent, measured by the process's own counters.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock};

use windows_sys::Win32::Foundation::{FILETIME, HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, CREATE_NEW_PROCESS_GROUP, GetExitCodeProcess, GetProcessTimes, INFINITE, WaitForSingleObject,
};

use super::{Ended, Exit, Program, Stop, StopSignal, Usage};

/// A started process with its three pipes.
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

/// Controls a child; clones control the same one. The handle keeps the process's name its own, also after its end.
#[derive(Debug, Clone)]
pub struct Process(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: u32,
    process: OwnedHandle,
    /// Closing it (also by the end of this process) ends everything in it.
    job: OwnedHandle,
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
    start_with(&mut command, if *niceness > 0 { BELOW_NORMAL_PRIORITY_CLASS } else { 0 })
}

/// Starts what a command says, with pipes.
///
/// # Errors
/// As for [`spawn`].
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    start_with(command, 0)
}

fn start_with(command: &mut Command, priority: u32) -> io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | priority);
    let job = new_job()?;
    let mut child = command.spawn()?;
    // A worker does nothing before its order arrives, so nothing escapes between start and assignment.
    // SAFETY: both handles are open.
    if unsafe { AssignProcessToJobObject(job.as_raw_handle() as HANDLE, child.as_raw_handle() as HANDLE) } == 0 {
        let error = io::Error::last_os_error();
        let _ = child.kill();
        return Err(error);
    }
    let missing = || io::Error::other("a pipe of the child is missing");
    Ok(Child {
        stdin: child.stdin.take().ok_or_else(missing)?,
        stdout: child.stdout.take().ok_or_else(missing)?,
        stderr: child.stderr.take().ok_or_else(missing)?,
        process: Process(Arc::new(Shared { id: child.id(), process: OwnedHandle::from(child), job })),
    })
}

fn new_job() -> io::Result<OwnedHandle> {
    // SAFETY: null names an unnamed object with default security.
    let raw = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if raw.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and nobody else's.
    let job = unsafe { OwnedHandle::from_raw_handle(raw.cast()) };
    // SAFETY: a structure of plain numbers, for which zeros are values.
    let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    // SAFETY: the pointer and the size are those of `limits`, which lives through the call.
    let is_set = unsafe {
        SetInformationJobObject(
            job.as_raw_handle() as HANDLE,
            JobObjectExtendedLimitInformation,
            (&raw const limits).cast(),
            size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
        )
    };
    if is_set == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
}

impl Process {
    /// Returns its number.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Windows has no request to end that a process without a window hears: the caller says `stop` on its standard input instead.
    pub fn terminate(&self) -> bool {
        false
    }

    /// Ends it and its children.
    pub fn kill(&self) {
        // SAFETY: the handle is open. That it has ended already is no error.
        unsafe { TerminateJobObject(self.0.job.as_raw_handle() as HANDLE, 137) };
    }

    /// Waits for its end. What is left of its job is ended too, so that its pipes close.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait(&self) -> io::Result<Ended> {
        let handle = self.0.process.as_raw_handle() as HANDLE;
        // SAFETY: the handle is open.
        if unsafe { WaitForSingleObject(handle, INFINITE) } != WAIT_OBJECT_0 {
            return Err(io::Error::last_os_error());
        }
        let mut code = 0_u32;
        // SAFETY: the pointer is to a value that lives through the call.
        if unsafe { GetExitCodeProcess(handle, &mut code) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let usage = Usage { cpu_seconds: cpu_seconds(handle), peak_memory_mb: peak_memory_mb(handle) };
        self.kill();
        Ok(Ended { exit: Exit::Code(code as i32), usage })
    }
}

fn cpu_seconds(process: HANDLE) -> f64 {
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut created, mut ended, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: every pointer is to a value that lives through the call.
    if unsafe { GetProcessTimes(process, &mut created, &mut ended, &mut kernel, &mut user) } == 0 {
        return 0.0;
    }
    // Units of 100 ns (GetProcessTimes).
    let ticks = |time: FILETIME| (u64::from(time.dwHighDateTime) << 32) + u64::from(time.dwLowDateTime);
    (ticks(kernel) + ticks(user)) as f64 / 1e7
}

fn peak_memory_mb(process: HANDLE) -> f64 {
    // SAFETY: a structure of plain numbers, for which zeros are values.
    let mut counters: PROCESS_MEMORY_COUNTERS = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size are those of `counters`, which lives through the call.
    let is_read = unsafe { K32GetProcessMemoryInfo(process, &mut counters, size_of::<PROCESS_MEMORY_COUNTERS>() as u32) };
    if is_read == 0 { 0.0 } else { counters.PeakWorkingSetSize as f64 / (1024.0 * 1024.0) }
}

static WATCHED: OnceLock<Stop> = OnceLock::new();

/// Hears Ctrl-C, Ctrl-Break and the end of the console or session; the system calls on a thread of its own.
pub(super) fn watch_signals(stop: Stop) -> io::Result<()> {
    WATCHED.set(stop).map_err(|_| io::Error::other("the signals are watched already"))?;
    // SAFETY: the handler is a plain function that lives as long as the program.
    if unsafe { SetConsoleCtrlHandler(Some(heard), 1) } == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

unsafe extern "system" fn heard(event: u32) -> windows_sys::core::BOOL {
    let signal = match event {
        CTRL_C_EVENT => StopSignal::Interrupt,
        CTRL_BREAK_EVENT | CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT => StopSignal::Terminate,
        _ => return 0,
    };
    let is_first = WATCHED.get().is_some_and(|stop| stop.request(signal));
    if !is_first {
        std::process::exit(i32::from(signal.exit_code()));
    }
    if event == CTRL_CLOSE_EVENT || event == CTRL_LOGOFF_EVENT || event == CTRL_SHUTDOWN_EVENT {
        // The process is ended when this returns (SetConsoleCtrlHandler, "Remarks"): leave the run the time it has to close.
        std::thread::sleep(std::time::Duration::from_secs(20));
    }
    1
}
