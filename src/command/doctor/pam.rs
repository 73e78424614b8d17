//! What PAM adds to the environment of jobs under cron: the files of variables that pam_env reads where cron's service file names it.
//! Sets nothing. What `pam_env.conf` computes of other variables is left out.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The service files of Debian's cron and of cronie.
const SERVICES: [&str; 2] = ["etc/pam.d/cron", "etc/pam.d/crond"];

/// What pam_env reads where its line names no other file (pam_env(7)).
const ENVIRONMENT: &str = "/etc/environment";

/// How often service files may include each other.
const INCLUDES_MAX: usize = 8;

/// More is not read of a file.
const BYTES_MAX: u64 = 256 * 1024;

/// Returns the variables that PAM gives to jobs of cron, on the system whose files are below `root`; those read later win.
pub fn variables(root: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    if let Some(service) = SERVICES.iter().map(|service| root.join(service)).find(|service| service.is_file()) {
        of_service(root, &service, 0, &mut files);
    }
    let mut variables = Vec::new();
    for text in files.iter().filter_map(|file| text_of(&below(root, file))) {
        read(&text, &mut variables);
    }
    variables
}

/// Adds the files that the lines of pam_env name, those of included service files too (pam.d(5)).
fn of_service(root: &Path, service: &Path, depth: usize, files: &mut Vec<String>) {
    let Some(text) = text_of(service).filter(|_| depth < INCLUDES_MAX) else { return };
    for line in text.lines() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let included = match words.as_slice() {
            ["@include", name] => Some(name),
            [kind, "include" | "substack", name] if is_environment_of(kind) => Some(name),
            _ => None,
        };
        if let Some(name) = included {
            of_service(root, &root.join("etc/pam.d").join(name), depth + 1, files);
        } else if words.first().is_some_and(|kind| is_environment_of(kind)) {
            files.extend(env_file(&words));
        }
    }
}

/// Whether modules of this kind set variables: `auth` ones with the credentials, `session` ones as the session begins.
fn is_environment_of(kind: &str) -> bool {
    matches!(kind.trim_start_matches('-'), "auth" | "session")
}

/// Returns the file that a line of pam_env names; nothing of other modules, and where `readenv=0` switches it off.
fn env_file(words: &[&str]) -> Option<String> {
    let module = words.iter().position(|word| word.rsplit('/').next() == Some("pam_env.so"))?;
    let options = &words[module + 1..];
    let is_read = !options.contains(&"readenv=0");
    let named = options.iter().rev().find_map(|option| option.strip_prefix("envfile=").filter(|file| !file.is_empty()));
    is_read.then(|| named.unwrap_or(ENVIRONMENT).to_owned())
}

fn below(root: &Path, file: &str) -> PathBuf {
    root.join(file.trim_start_matches('/'))
}

/// Returns a file's text; values that are no UTF-8 are marked by what stands for them.
fn text_of(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes over the variables of a file as pam_env does (measured with Linux-PAM 1.5.2 of Debian 12): a `#` ends the line, inside of quotes
/// too; a `\` at the end joins lines; one quote goes from each end of a value; nothing is expanded; a name alone takes the variable away.
fn read(text: &str, variables: &mut Vec<(String, String)>) {
    let mut lines = text.split('\n');
    while let Some(line) = joined(&mut lines) {
        let line = line.trim_start_matches(BLANKS);
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let is_text = value.is_none_or(|value| !value.contains([char::REPLACEMENT_CHARACTER, '\0']));
        if name.is_empty() || !name.chars().all(is_name) || !is_text {
            continue;
        }
        variables.retain(|(known, _)| known != name);
        variables.extend(value.map(|value| (name.to_owned(), unquoted(value).to_owned())));
    }
}

/// What may stand before a line's first word.
const BLANKS: [char; 2] = [' ', '\t'];

/// Returns the next line that says something, with those that a `\` joins to it; none where the file ends behind a `\`.
fn joined<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut joined = String::new();
    loop {
        let line = lines.next()?;
        let said = line.trim_start_matches(BLANKS);
        if said.is_empty() || said.starts_with('#') {
            continue;
        }
        if let Some((before, _)) = line.split_once('#') {
            joined.push_str(before);
            return Some(joined);
        }
        let Some(before) = line.trim_end_matches(BLANKS).strip_suffix('\\') else {
            joined.push_str(line);
            return Some(joined);
        };
        joined.push_str(before);
    }
}

/// Takes a quote from the beginning, and one from the end where there is one at both.
fn unquoted(value: &str) -> &str {
    let quotes = ['"', '\''];
    value.strip_prefix(quotes).map_or(value, |rest| rest.strip_suffix(quotes).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut variables = Vec::new();
        read(text, &mut variables);
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(variables, expected, "{text:?}");
    }

    // The answers are those of pam_env of Linux-PAM 1.5.2, asked by pam_start_confdir and pam_getenvlist.
    #[test]
    fn a_file_means_what_pam_env_takes_it_for() {
        check("A=1\nB=2", &[("A", "1"), ("B", "2")]);
        check("# c\n\n  A=1  \n", &[("A", "1  ")]);
        check("A=\"x y\"\nB='x y' \n", &[("A", "x y"), ("B", "x y' ")]);
        check("A=\"x'y\"z\nB=\"x\"y\"\nC=x\"y\"\nD=\"\nE=\"\"\n", &[("A", "x'y\"z"), ("B", "x\"y"), ("C", "x\"y\""), ("D", ""), ("E", "")]);
        check("A=\"a#b\"\nB=a # c\nC=\"x\" # c\n", &[("A", "a"), ("B", "a "), ("C", "x\" ")]);
        check("export A=1\nexport   B=1\nexport\tC=1\n", &[("A", "1")]);
        check("A = 1\nB= 1\nC-D=1\n9E=1\n=x\nÄ=1\n", &[("B", " 1"), ("9E", "1")]);
        check("A=1\nB=2\nA=3\nB\nC\nD=\n", &[("A", "3"), ("D", "")]);
        check("A=a\\\nb\nB=1\\\n  C=2\nD=1 \\ \nE=2\n", &[("A", "ab"), ("B", "1  C=2"), ("D", "1 E=2")]);
        check("A=1\r\nB=$A ${A}\n", &[("A", "1\r"), ("B", "$A ${A}")]);
        check("A=1\nB=2\\\n", &[("A", "1")]);
        check("A=\u{fffd}\nB=1\n", &[("B", "1")]);
    }

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[track_caller]
    fn check_system(files: &[(&str, &str)], expected: &[(&str, &str)]) {
        let found = variables(system(files).path());
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn the_files_are_those_that_the_service_file_of_cron_names() {
        let files = [("etc/environment", "A=1\nB=1\n"), ("etc/default/locale", "B=2\n")];
        let with = |service: (&'static str, &'static str)| [files[0], files[1], service];
        check_system(&files, &[]);
        let debian = "@include common-auth\nsession required pam_env.so\nsession required pam_env.so envfile=/etc/default/locale\n";
        check_system(&with(("etc/pam.d/cron", debian)), &[("A", "1"), ("B", "2")]);
        check_system(&with(("etc/pam.d/cron", "# session required pam_env.so\naccount required pam_env.so\n")), &[]);
        check_system(&with(("etc/pam.d/cron", "session required pam_env.so readenv=0\n")), &[]);
        let bracketed = "-session [success=ok default=ignore] /lib/security/pam_env.so # x\n";
        check_system(&with(("etc/pam.d/crond", bracketed)), &[("A", "1"), ("B", "1")]);
        let included = [("etc/pam.d/crond", "auth include password-auth\n"), ("etc/pam.d/password-auth", "auth required pam_env.so\n")];
        check_system(&[files[0], included[0], included[1]], &[("A", "1"), ("B", "1")]);
        check_system(&[files[0], ("etc/pam.d/cron", "@include cron\nsession required pam_env.so\n")], &[("A", "1"), ("B", "1")]);
    }
}
