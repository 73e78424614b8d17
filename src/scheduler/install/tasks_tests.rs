use super::*;

/// Keeps a task a file in `tasks`, and lists it in words of its own.
const SCHTASKS: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
case $1 in
/Create) name=$(printf %s "$5" | tr '\\' _); [ -e refuses ] && { echo "ERROR: Access is denied." >&2; exit 1; }; cp "$3" "tasks/$name" ;;
/Delete) name=$(printf %s "$3" | tr '\\' _); rm "tasks/$name" ;;
/Query) name=$(printf %s "$3" | tr '\\' _); [ -e "tasks/$name" ] || exit 1; echo "listed: $(cat "tasks/$name")" ;;
esac
"#;

struct Windows {
    folder: tempfile::TempDir,
    tasks: Tasks,
}

impl Windows {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("schtasks");
        std::fs::write(&program, SCHTASKS).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(folder.path().join("tasks")).unwrap();
        let tasks = Tasks {
            program: program.display().to_string(),
            digest: "0badcafe".to_owned(),
            folder: folder.path().join("workspace/.etlsched/tasks"),
        };
        Self { folder, tasks }
    }

    /// Returns what Windows holds, by name.
    fn held(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("tasks")).unwrap();
        let mut held: Vec<String> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| format!("{}: {}", entry.file_name().display(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        held.sort();
        held
    }

    #[track_caller]
    fn make(&self, rendered: &[Rendered], kept: &[&str]) {
        let before = self.tasks.read().unwrap();
        let kept = kept.iter().map(|job| (*job).to_owned()).collect();
        let after = self.tasks.merged(&before, rendered, &kept).unwrap();
        assert_eq!(self.tasks.apply(&before, &after).unwrap(), Vec::<String>::new());
        assert_eq!(self.tasks.read().unwrap(), after);
    }
}

fn task(job: &str, text: &str) -> Rendered {
    Rendered { name: format!("etlsched-0badcafe-{job}.xml"), bytes: text.as_bytes().to_vec() }
}

#[test]
fn tasks_come_and_go_and_those_of_others_stay() {
    let windows = Windows::new();
    std::fs::write(windows.folder.path().join("tasks/OneDrive"), "theirs").unwrap();
    windows.make(&[task("a", "1"), task("b", "2")], &[]);
    let ours = |job: &str, text: &str| format!("_etlsched-0badcafe_{job}: {text}");
    assert_eq!(windows.held(), ["OneDrive: theirs", &ours("a", "1"), &ours("b", "2")]);
    windows.make(&[task("b", "3")], &["a"]);
    assert_eq!(windows.held(), ["OneDrive: theirs", &ours("a", "1"), &ours("b", "3")]);
    windows.make(&[], &["b"]);
    assert_eq!(windows.held(), ["OneDrive: theirs", &ours("b", "3")]);
    windows.make(&[], &[]);
    assert_eq!(windows.held(), ["OneDrive: theirs"]);
}

#[test]
fn a_task_that_somebody_changed_or_took_out_is_seen() {
    let windows = Windows::new();
    windows.make(&[task("a", "1"), task("b", "2")], &[]);
    let file = windows.folder.path().join("tasks/_etlsched-0badcafe_a");
    std::fs::write(&file, "else").unwrap();
    assert_eq!(windows.tasks.read().unwrap(), [task("a", "listed: else\n"), task("b", "2")]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(windows.tasks.read().unwrap(), [task("b", "2")]);
    windows.make(&[task("a", "1"), task("b", "2")], &[]);
}

#[test]
fn a_task_that_windows_refuses_does_not_count_as_given() {
    let windows = Windows::new();
    windows.make(&[task("a", "1")], &[]);
    std::fs::write(windows.folder.path().join("refuses"), "").unwrap();
    let before = windows.tasks.read().unwrap();
    let error = windows.tasks.apply(&before, &[task("a", "2")]).unwrap_err();
    assert!(error.message.ends_with("/F failed with exit code 1: ERROR: Access is denied."), "{error}");
    assert_eq!(error.hint, "run it as a user who may make tasks (an administrator)");
    assert_eq!(windows.tasks.read().unwrap(), before);
    let error = windows.tasks.apply(&[], &[]).unwrap_err();
    assert_eq!(
        error.message,
        "tasks in the Task Scheduler, folder \\etlsched-0badcafe were changed by another program; nothing was written"
    );
}
