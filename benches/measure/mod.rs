//! What the benchmarks share: a folder that is kept, workspaces, and commands measured as whole processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Returns the folder in which files are kept from one run to the next.
pub fn bench_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder).expect("target/bench");
    folder
}

/// Returns a workspace with the job `rows`.
pub fn workspace_of(job: &str) -> TempDir {
    let workspace = tempfile::tempdir_in(bench_folder()).expect("a folder");
    std::fs::create_dir(workspace.path().join("jobs")).expect("a folder");
    std::fs::write(workspace.path().join("jobs/rows.yaml"), job).expect("a job");
    workspace
}

/// Returns the program with arguments, in a workspace.
pub fn etlsched(workspace: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etlsched"));
    command.args(arguments).current_dir(workspace.path());
    command
}

/// What a command took.
pub struct Measured {
    pub wall: Duration,
    /// The highest sum over all of its processes, in kB, sampled every 10 ms.
    pub resident: u64,
    /// The same without pages of files.
    pub anonymous: u64,
}

/// Runs a command to its end; its memory is looked at only where it `is_sampled`.
pub fn measure(mut command: Command, is_sampled: bool) -> Measured {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
    let (mut resident, mut anonymous) = (0, 0);
    let status = loop {
        if !is_sampled {
            break child.wait().expect("it ends");
        }
        if let Some(status) = child.try_wait().expect("it ends") {
            break status;
        }
        let (all, ours) = memory(child.id());
        resident = all.max(resident);
        anonymous = ours.max(anonymous);
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{command:?} ended with {status}");
    Measured { wall: begun.elapsed(), resident, anonymous }
}

/// Returns resident and anonymous memory of a process and its children, in kB (proc_pid_status(5)).
fn memory(id: u32) -> (u64, u64) {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let others = threads.filter(|thread| thread.file_name() != *id.to_string());
    let more: String = others.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()).collect();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let own = (line("VmRSS:"), line("RssAnon:"));
    let ids = children.split_whitespace().chain(more.split_whitespace()).filter_map(|id| id.parse().ok());
    ids.map(memory).fold(own, |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
