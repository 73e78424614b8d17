//! This program once more, in an environment that is given whole: as cron gives it.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::Exit;

/// What is started, and with what: nothing else of this process reaches it.
#[derive(Debug, Clone)]
pub struct Bare {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it begins.
    pub folder: PathBuf,
}

/// Runs a program with an empty standard input, the umask 022 and no terminal; hands each line of its standard output on as it comes. Its
/// standard error goes where ours goes.
///
/// # Errors
/// It can't be started, or says nothing for `silence_max`: then it is killed.
pub fn run_bare(bare: &Bare, silence_max: Duration, mut hear: impl FnMut(&str)) -> io::Result<Exit> {
    let Bare { program, arguments, environment, folder } = bare;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value))).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    settle(&mut command);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("a pipe of the child is missing"))?;
    let (said, heard) = channel();
    std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    loop {
        match heard.recv_timeout(silence_max) {
            Ok(line) => hear(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it said nothing for {} s", silence_max.as_secs())));
            }
        }
    }
    exit_of(child.wait()?)
}

#[cfg(unix)]
fn settle(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    // SAFETY: between fork and exec a system call that is async-signal-safe and can't fail (umask(2)).
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o022);
            Ok(())
        });
    }
}

#[cfg(not(unix))]
fn settle(_command: &mut Command) {}

fn exit_of(status: std::process::ExitStatus) -> io::Result<Exit> {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ok(Exit::Signal(signal));
    }
    status.code().map(Exit::Code).ok_or_else(|| io::Error::other("it ended in an unknown way"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, silence_max: Duration) -> (io::Result<Exit>, Vec<String>) {
        let bare = Bare {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![("ONLY".to_owned(), "this one".to_owned())],
            folder: "/".into(),
        };
        let mut lines = Vec::new();
        let exit = run_bare(&bare, silence_max, |line| lines.push(line.to_owned()));
        (exit, lines)
    }

    #[test]
    fn it_gets_the_environment_that_is_given_and_nothing_else() {
        let (exit, lines) = shell("echo $ONLY; echo ${HOME-none}; pwd; umask; read line || echo end; exit 7", Duration::from_secs(60));
        assert_eq!(exit.unwrap(), Exit::Code(7));
        assert_eq!(lines, ["this one", "none", "/", "0022", "end"]);
    }

    #[test]
    fn one_that_falls_silent_is_ended() {
        let (exit, lines) = shell("echo on my way; exec sleep 1000", Duration::from_millis(300));
        assert_eq!(exit.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(lines, ["on my way"]);
    }
}
