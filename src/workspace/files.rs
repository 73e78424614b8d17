//! Reading the workspace's files: how large, whose, who may write them; which files in jobs/ are jobs.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::job::positions::{self, Origin};
use crate::job::report::Text;
use crate::job::{JobId, Matter, Problem, Severity};
use crate::private;

use super::whole;

/// What a file is, for what its mode means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A job file.
    Job,
    /// etlsched.yaml.
    Settings,
    /// .env: others should not even read it.
    Secret,
}

/// The variable of the process that names one more user whose files are used: checkouts of a CI that runs as root. Not read from `.env`.
pub const TRUSTED_OWNER: &str = "ETLSCHED_TRUSTED_OWNER";

/// Reads the files of a workspace.
#[derive(Debug, Clone)]
pub struct Files {
    /// The workspace's folder.
    pub root: PathBuf,
    /// One more user whose files are used.
    pub trusted_owner: Option<u32>,
}

impl Files {
    /// Reads a file whole; `None` where there is none, or where it can't be used, which is a problem then.
    pub fn read(&self, path: &Path, shown: &Path, origin: Origin, kind: Kind, problems: &mut Vec<Problem>) -> Option<Text> {
        let mut text = Text { path: shown.to_owned(), text: String::new() };
        let failed = |text: &Text, what: String| text.problem(Severity::Error, whole(origin), what, None);
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && kind != Kind::Job => return None,
            Err(error) => {
                problems.push(failed(&text, format!("can't be read: {error}")));
                return None;
            }
        };
        if let Ok(metadata) = file.metadata() {
            if !metadata.is_file() {
                problems.push(failed(&text, "is not a file".to_owned()));
                return None;
            }
            problems.extend(self.check_mode(&metadata, &text, origin));
        }
        let mut bytes = Vec::new();
        if let Err(error) = file.take(positions::BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
            problems.push(failed(&text, format!("can't be read: {error}")));
            return None;
        }
        if bytes.len() > positions::BYTES_MAX {
            problems.push(failed(&text, format!("has more than {} bytes", positions::BYTES_MAX)));
            return None;
        }
        match positions::text(origin, &bytes) {
            Ok(clean) => clean.clone_into(&mut text.text),
            Err(fault) => {
                // The lines that can be read, so that the place can be shown.
                text.text = String::from_utf8_lossy(&bytes).into_owned();
                if kind == Kind::Secret {
                    text.text.clear();
                }
                problems.push(text.fault(fault));
                return None;
            }
        }
        #[cfg(unix)]
        if kind != Kind::Secret
            && let Ok(metadata) = fs::metadata(path)
            && std::os::unix::fs::MetadataExt::mode(&metadata) & 0o004 != 0
            && let Some(secret) = inline_secret(&text.text)
        {
            let (what, instead) = secret.told();
            let hint = format!("chmod o-r {}, or {instead}", shown.display());
            let message = format!("holds a {what} that others can read");
            problems.push(text.problem(Severity::Warning, whole(origin), message, Some(hint)));
        }
        Some(text)
    }

    /// Whether this user may not read a file, or must not use it for its owner: another user may find it good. So is one that can't be opened
    /// at this moment; a link that leads nowhere does so for everybody.
    pub fn is_withheld(&self, path: &Path) -> bool {
        match open(path) {
            Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied || fs::read_link(path).is_err(),
            Ok(file) => file.metadata().is_ok_and(|metadata| self.is_of_others(&metadata)),
        }
    }

    #[cfg(unix)]
    fn is_of_others(&self, metadata: &fs::Metadata) -> bool {
        let owner = std::os::unix::fs::MetadataExt::uid(metadata);
        !is_trusted(owner, rustix::process::geteuid().as_raw(), self.trusted_owner)
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "files have no owner that counts here")]
    fn is_of_others(&self, _metadata: &fs::Metadata) -> bool {
        false
    }

    #[cfg(unix)]
    fn check_mode(&self, metadata: &fs::Metadata, text: &Text, origin: Origin) -> Vec<Problem> {
        use std::os::unix::fs::MetadataExt;
        let (mode, owner, us) = (metadata.mode(), metadata.uid(), rustix::process::geteuid().as_raw());
        let shown = text.path.display();
        let problem = |severity, message: String, hint: String| text.problem(severity, whole(origin), message, Some(hint));
        let mut problems = Vec::new();
        if mode & 0o002 != 0 {
            problems.push(problem(Severity::Error, "everybody can write it".to_owned(), format!("chmod o-w {shown}")));
        } else if mode & 0o020 != 0 {
            problems.push(problem(Severity::Warning, "its group can write it".to_owned(), format!("chmod g-w {shown}")));
        }
        if !is_trusted(owner, us, self.trusted_owner) {
            let message = format!("belongs to user {owner}, who could make it run commands as user {us}");
            let hint = format!("chown -R {us} {}, or set {TRUSTED_OWNER}={owner} if you trust that user", self.root.display());
            problems.push(problem(Severity::Error, message, hint));
        }
        problems
    }

    /// Tells where others can read a file of secrets.
    pub fn check_readable(&self, path: &Path, shown: &Path, state_group: Option<&str>) -> Option<Problem> {
        let chmod = too_readable(path, state_group)?;
        let text = Text { path: shown.to_owned(), text: String::new() };
        let hint = format!("chmod {chmod} {}", shown.display());
        Some(text.problem(Severity::Warning, whole(Origin::Workspace), "others can read it".to_owned(), Some(hint)))
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _metadata: &fs::Metadata, _text: &Text, _origin: Origin) -> Vec<Problem> {
        let _ = (&self.root, self.trusted_owner);
        Vec::new()
    }
}

/// Returns the mode that a file of secrets should have, where others can read it; the group that `.etlsched` is shared with runs the jobs
/// and needs it.
pub fn too_readable(path: &Path, state_group: Option<&str>) -> Option<u32> {
    let readers = fs::metadata(path).ok().and_then(|metadata| private::readers(&metadata))?;
    match (readers, state_group) {
        (private::Readers::Group(id), Some(name)) if private::is_group(id, name) => None,
        (_, Some(_)) => Some(640),
        (_, None) => Some(600),
    }
}

/// Whether a file may be used for its owner: ours, root's, or one that the caller's environment trusts. The workspace's own owner is not
/// enough: a job can run a command, and root must not run what a user without rights wrote.
#[cfg(unix)]
fn is_trusted(owner: u32, us: u32, trusted: Option<u32>) -> bool {
    owner == 0 || owner == us || trusted == Some(owner)
}

/// Opens a file for reading without waiting: a pipe that nobody writes to would hold us for ever.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

/// A literal secret in a file.
#[cfg(unix)]
#[derive(Debug, PartialEq, Eq)]
enum InlineSecret {
    /// A password, also one in a URL.
    Password,
    /// What holds where this variable isn't set.
    Default(String),
    /// The value of this key, such as `webhooks`; empty where it can't be told.
    Of(String),
}

#[cfg(unix)]
impl InlineSecret {
    /// Returns what it is, and what to write in its place.
    fn told(&self) -> (String, String) {
        match self {
            Self::Password => ("password".to_owned(), "write ${NAME} in place of the password".to_owned()),
            Self::Default(name) => {
                let instead = format!("write ${{{name}}} and set {name} in the environment or in .env");
                (format!("secret (the default in ${{{name}:-...}})"), instead)
            }
            Self::Of(key) => {
                let key = if key.is_empty() { String::new() } else { format!(" ({key})") };
                (format!("secret{key}"), "write ${NAME} in place of the secret".to_owned())
            }
        }
    }
}

/// Returns what the first line holds that [`masked_values`](crate::job::report::masked_values) changes: a literal secret.
#[cfg(unix)]
fn inline_secret(text: &str) -> Option<InlineSecret> {
    // The key that a list below it belongs to.
    let mut list = "";
    for whole in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        // An empty default is no secret.
        let line = crate::text::shortened(whole, 300).replace(":-}", "}");
        let masked = crate::job::report::masked_values(&line);
        if masked != line {
            let same: String = line.chars().zip(masked.chars()).take_while(|(one, other)| one == other).map(|(one, _)| one).collect();
            return Some(secret_behind(&same, list));
        }
        if let Some((key, "")) = whole.trim().split_once(':') {
            list = key;
        }
    }
    None
}

/// Says what a secret is by what stands before it in its line.
#[cfg(unix)]
fn secret_behind(before: &str, list: &str) -> InlineSecret {
    if let Some((_, name)) = before.strip_suffix(':').and_then(|before| before.rsplit_once("${"))
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    {
        return InlineSecret::Default(name.to_owned());
    }
    let is_login = before.ends_with(':') && before.contains("://");
    let before = before.trim_end_matches(|character: char| !character.is_alphanumeric());
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let key = before.rsplit(|character| !is_word(character)).next().unwrap_or_default();
    let key = if key.is_empty() || key.starts_with("http") { list } else { key };
    if is_login || key.contains("pass") { InlineSecret::Password } else { InlineSecret::Of(key.to_owned()) }
}

/// So many files in subfolders are told of.
const MISPLACED_MAX: usize = 20;

/// Lists a folder's job files.
pub fn job_ids(folder: &Path, here: &Path) -> (Vec<JobId>, Vec<Problem>) {
    let (mut ids, mut problems) = (Vec::new(), Vec::new());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                problems.push(problem(super::shown(folder, here), format!("can't be listed: {error}"), None));
            }
            return (ids, problems);
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let shown = super::shown(&entry.path(), here);
        if name.starts_with('.') || name.ends_with('~') {
            continue; // what editors and version control leave
        }
        match name.rsplit_once('.') {
            Some((stem, "yaml")) => match JobId::parse(stem) {
                Ok(id) => ids.push(id),
                Err(rule) => problems.push(problem(shown, rule, Some("rename the file".to_owned()))),
            },
            Some((stem, "yml" | "YAML" | "YML" | "Yaml")) => {
                problems.push(problem(shown, "is not read: job files end in .yaml".to_owned(), Some(format!("rename it to {stem}.yaml"))));
            }
            _ => {}
        }
    }
    ids.sort();
    problems.sort_by(|left, right| left.file.cmp(&right.file));
    (ids, problems)
}

/// Returns a warning for each file right in a subfolder of a folder of jobs that looks like one and is never read.
pub fn misplaced(folder: &Path, here: &Path) -> Vec<Problem> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")).map(|entry| entry.path()).collect()
    };
    let is_job = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") && path.is_file();
    let mut found: Vec<PathBuf> = inside(folder).iter().filter(|path| path.is_dir()).flat_map(|path| inside(path)).filter(is_job).collect();
    found.sort();
    found.truncate(MISPLACED_MAX);
    let told = |path: PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let hint = format!("move it to {}", super::shown(&folder.join(format!("{stem}.yaml")), here).display());
        let message = "is not read: job files stand in jobs/ itself, not in a folder of it".to_owned();
        Problem { severity: Severity::Warning, ..problem(super::shown(&path, here), message, Some(hint)) }
    };
    found.into_iter().map(told).collect()
}

fn problem(file: PathBuf, message: String, hint: Option<String>) -> Problem {
    Problem { file, line: 0, column: 0, line_text: String::new(), severity: Severity::Error, matter: Matter::Definition, message, hint }
}

/// Writes a new file whole or not at all, with a Unix mode whatever the umask; never replaces one.
///
/// # Errors
/// `AlreadyExists` where there is one; whatever keeps it from being written.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    written_beside(path, bytes, mode)?.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// As [`write_new`], but a file that is there is replaced.
///
/// # Errors
/// Whatever keeps it from being written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    written_beside(path, bytes, mode).and_then(|file| file.persist(path).map(drop).map_err(|error| error.error)).map_err(without_its_name)
}

/// Takes the name of the file beside out of an error: nobody knows it.
fn without_its_name(error: std::io::Error) -> std::io::Error {
    match error.to_string().split_once(" at path ") {
        Some((what, _)) => std::io::Error::new(error.kind(), what),
        None => error,
    }
}

/// Returns a file under another name in the same folder, written and on disk; the folder is made.
fn written_beside(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<tempfile::NamedTempFile> {
    use std::io::Write;

    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".etlsched-");
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    #[cfg(unix)]
    {
        // Whatever the umask: a group-writable job file would be warned of at once.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.as_file().set_permissions(mode)?;
    }
    #[cfg(not(unix))]
    let _ = mode;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_name_the_file_beside() {
        let error =
            std::io::Error::new(std::io::ErrorKind::PermissionDenied, "Permission denied (os error 13) at path \"/x/.etlsched-fB\"");
        let error = without_its_name(error);
        assert_eq!((error.kind(), error.to_string().as_str()), (std::io::ErrorKind::PermissionDenied, "Permission denied (os error 13)"));
    }

    #[track_caller]
    fn holds(text: &str, expected: Option<InlineSecret>) {
        assert_eq!(inline_secret(text), expected, "{text}");
    }

    #[test]
    fn what_a_file_holds_is_called_what_it_is() {
        let of = |key: &str| Some(InlineSecret::Of(key.to_owned()));
        holds("version: 1\nwebhooks:\n  - https://hooks.example.com/x\n", of("webhooks"));
        holds("webhooks: [\"https://hooks.example.com/x\"]\n", of("webhooks"));
        holds("webhooks:\n  - ${HOOK}\n# webhooks: [https://hooks.example.com/x]\n", None);
        holds("healthcheck_url: https://hc.example.com/x\n", of("healthcheck_url"));
        holds("connections:\n  shop: {type: postgresql, password: hunter22}\n", Some(InlineSecret::Password));
        holds("state: postgresql://etl:hunter22@db/etl\n", Some(InlineSecret::Password));
        let default = Some(InlineSecret::Default("SHOP_PASSWORD".to_owned()));
        holds("connections:\n  shop: {type: mysql, password: \"${SHOP_PASSWORD:-secret}\"}\n", default);
        holds("  shop: {type: mysql, password: \"${SHOP_PASSWORD}\"}\n  old: {password: \"${OLD_PASSWORD:-}\"}\n", None);
    }

    #[test]
    fn a_default_is_called_the_secret_and_not_the_variable() {
        let told = InlineSecret::Default("SHOP_PASSWORD".to_owned()).told();
        assert_eq!(
            [told.0.as_str(), told.1.as_str()],
            ["secret (the default in ${SHOP_PASSWORD:-...})", "write ${SHOP_PASSWORD} and set SHOP_PASSWORD in the environment or in .env"]
        );
    }

    #[test]
    fn files_of_other_users_are_used_only_where_the_caller_trusts_them() {
        assert!(is_trusted(1000, 1000, None) && is_trusted(0, 1000, None));
        assert!(!is_trusted(1001, 1000, None) && !is_trusted(1001, 0, None), "root trusts nobody else either");
        assert!(is_trusted(1001, 0, Some(1001)));
        assert!(!is_trusted(1002, 0, Some(1001)));
    }
}
