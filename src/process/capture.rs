//! Short programs of the system, run to their end: what they are given, what they say, and a limit of time.

use std::io::{Read, Write};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::{Exit, platform, strip};

/// More than this is not read of what a program says.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// What a program said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, as text.
    pub stderr: String,
}

/// Why a program has nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum NotCaptured {
    /// There is no such program.
    #[error("{0}: there is no such program")]
    Absent(String),
    /// It could not be started, or read.
    #[error("{0}: {1}")]
    Failed(String, std::io::Error),
    /// It didn't end in time, and was killed.
    #[error("{0} did not end within {1:?}, so it was stopped")]
    TimedOut(String, Duration),
}

/// Runs a program, looked for in `PATH`, to its end, in the C locale: so that its words can be understood.
///
/// # Errors
/// It can't be started, or has not ended after `timeout`: then it and its children are killed.
pub fn capture(program: &str, arguments: &[&str], input: &[u8], timeout: Duration) -> Result<Captured, NotCaptured> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => NotCaptured::Absent(program.to_owned()),
        _ => NotCaptured::Failed(program.to_owned(), error),
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").env_remove("LANGUAGE");
    strip(&mut command);
    let mut child = platform::start(&mut command).map_err(failed)?;
    let process = child.process.clone();
    let (end, has_ended) = channel::<()>();
    std::thread::scope(|scope| {
        let guard = scope.spawn(move || {
            let is_late = has_ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout);
            if is_late {
                process.kill();
            }
            is_late
        });
        // That it reads none of its input is its own affair: its exit code tells.
        let mut stdin = child.stdin;
        scope.spawn(move || drop(stdin.write_all(input)));
        let stdout = scope.spawn(|| read(&mut child.stdout));
        let stderr = scope.spawn(|| read(&mut child.stderr));
        let ended = child.process.wait();
        drop(end);
        let panicked = |_| std::io::Error::other("reading it failed");
        if guard.join().map_err(panicked).map_err(failed)? {
            return Err(NotCaptured::TimedOut(program.to_owned(), timeout));
        }
        let stdout = stdout.join().map_err(panicked).flatten().map_err(failed)?;
        let stderr = stderr.join().map_err(panicked).flatten().map_err(failed)?;
        Ok(Captured { exit: ended.map_err(failed)?.exit, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    })
}

fn read(pipe: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(std::io::Error::other(format!("it says more than {} MiB", OUTPUT_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], timeout: Duration) -> Result<Captured, NotCaptured> {
        capture("sh", &["-c", script], input, timeout)
    }

    #[test]
    fn a_program_gets_its_input_and_says_what_it_has_to_say_in_the_c_locale() {
        let captured = shell("cat; echo $LC_ALL >&2; exit 3", b"\xff\r\nx", Duration::from_secs(60)).unwrap();
        assert_eq!(captured, Captured { exit: Exit::Code(3), stdout: b"\xff\r\nx".to_vec(), stderr: "C\n".to_owned() });
    }

    #[test]
    fn a_program_that_reads_nothing_or_leaves_children_behind_ends_all_the_same() {
        let captured = shell("sleep 1000 & echo done", &[b'x'; 1 << 20], Duration::from_secs(60)).unwrap();
        assert_eq!(captured.stdout, b"done\n");
    }

    #[test]
    fn a_program_that_hangs_is_stopped_and_one_that_is_not_there_is_named() {
        let error = shell("echo on my way; sleep 1000", b"", Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.to_string(), "sh did not end within 300ms, so it was stopped");
        let error = capture("crontab-of-nowhere", &[], b"", Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "crontab-of-nowhere: there is no such program");
    }
}
