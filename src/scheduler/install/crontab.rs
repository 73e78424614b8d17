//! The user's crontab, through the `crontab` program alone: its spool files are no business of ours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Daemon, NotInstalled, Rendered, Shown, Target, call, words};
use crate::private;
use crate::process::Exit;
use crate::scheduler::block::{self, Spoiled};
use crate::scheduler::section;

/// No daemon reads more lines: cronie stops there.
const LINES_MAX: usize = 10_000;

/// The name of what is read and written.
const NAME: &str = "crontab";

/// The crontab of the user who runs this.
#[derive(Debug, Clone)]
pub struct Crontab {
    /// The user, for messages.
    pub user: String,
    /// The id of the workspace's block.
    pub id: String,
    /// Where the crontab is kept as it was before the last change.
    pub backup: PathBuf,
}

impl Target for Crontab {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        format!("the crontab of {}", self.user)
    }

    fn read(&self) -> Result<Vec<Rendered>, NotInstalled> {
        Ok(vec![Rendered { name: NAME.to_owned(), bytes: self.list()? }])
    }

    fn jobs(&self, there: &[Rendered]) -> Result<BTreeSet<String>, NotInstalled> {
        let block = block::find(text(there), &self.id).map_err(|spoiled| self.spoiled(&spoiled))?;
        Ok(block.map(|found| section::jobs(&found.text)).unwrap_or_default())
    }

    fn merged(&self, there: &[Rendered], rendered: &[Rendered], kept: &BTreeSet<String>) -> Result<Vec<Rendered>, NotInstalled> {
        let crontab = text(there);
        let spoiled = |spoiled: Spoiled| self.spoiled(&spoiled);
        let old = block::find(crontab, &self.id).map_err(spoiled)?.map(|found| found.text).unwrap_or_default();
        let fresh = rendered.first().map(|file| file.bytes.as_slice());
        let bytes = match section::merged(fresh, &old, kept) {
            Some(block) => block::put(crontab, &self.id, &block),
            None => block::remove(crontab, &self.id),
        }
        .map_err(spoiled)?;
        let lines = bytes.split(|byte| *byte == b'\n').count();
        if lines > LINES_MAX && bytes.len() > crontab.len() {
            let message = format!("{} would have {lines} lines, and cron reads {LINES_MAX}", self.place());
            return Err(NotInstalled::new("too_long", message, "install fewer jobs, or add --scheduler systemd"));
        }
        Ok(vec![Rendered { name: NAME.to_owned(), bytes }])
    }

    fn shown(&self, there: &[Rendered]) -> Result<Vec<Shown>, NotInstalled> {
        // Only the block: what else stands in a crontab may be secret, and is nobody's business here.
        let block = block::find(text(there), &self.id).map_err(|spoiled| self.spoiled(&spoiled))?;
        let shown = |found: block::Found| Shown { name: NAME.to_owned(), line: found.line, bytes: text(there)[found.range].to_vec() };
        Ok(block.map(shown).into_iter().collect())
    }

    fn apply(&self, before: &[Rendered], after: &[Rendered]) -> Result<Vec<String>, NotInstalled> {
        let (before, after) = (text(before), text(after));
        let now = self.list()?;
        if now != before {
            let message = format!("{} was changed by another program while this one ran; nothing was written", self.place());
            return Err(NotInstalled::new("changed", message, "try again"));
        }
        if let Some((message, hint)) = self.moved(after) {
            return Err(NotInstalled::new("cron_tz", message, hint));
        }
        self.keep(before)?;
        let mut notes = Vec::new();
        if after.is_empty() {
            self.give(&["-r"], b"")?;
        } else if let Err(error) = self.give(&["-"], after) {
            // Most programs take no last line without a line end, and yet there was one: somebody else put it there.
            if after.ends_with(b"\n") {
                return Err(error);
            }
            let ended = [after, b"\n"].concat();
            self.give(&["-"], &ended)?;
            notes.push("the last line of the crontab has a line end now: this crontab program takes none without".to_owned());
            return self.read_back(&ended).map(|()| notes);
        }
        self.read_back(after)?;
        Ok(notes)
    }

    fn warnings(&self) -> Vec<(String, String)> {
        let crontab = self.list().unwrap_or_default();
        let mut warnings: Vec<(String, String)> = self.moved(&crontab).into_iter().collect();
        for (line, id) in block::left_behind(&crontab, &self.id) {
            let warning = format!("line {line} of {} begins another block of this folder, {id}: its jobs are started twice", self.place());
            warnings.push((warning, "it was made before .etlsched was removed; take it out by hand: crontab -e".to_owned()));
        }
        warnings
    }

    fn daemon(&self) -> Daemon {
        // Where processes of others are hidden (mount option hidepid), nothing can be said.
        let entries = std::fs::read("/proc/1/comm").and_then(|_| std::fs::read_dir("/proc"));
        let Ok(entries) = entries else { return Daemon::Unknown("this system doesn't show its processes".to_owned()) };
        let names = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok());
        let found = names.map(|name| name.trim().to_owned()).find(|name| DAEMONS.contains(&name.as_str()));
        found.map_or_else(
            || {
                let what = "no cron daemon runs on this machine: nothing is started until one does";
                Daemon::Absent(what.to_owned(), "start it: systemctl start cron, or service cron start".to_owned())
            },
            Daemon::Runs,
        )
    }

    fn environment(&self, there: &[Rendered]) -> Vec<(String, String)> {
        match block::find(text(there), &self.id) {
            Ok(Some(found)) => settings(&text(there)[..found.range.end]),
            Ok(None) | Err(_) => settings(text(there)),
        }
    }
}

/// How daemons call themselves.
const DAEMONS: [&str; 5] = ["cron", "crond", "fcron", "bcron-start", "cronie"];

/// Returns the variables that lines set, the last one of a name; they hold for the lines below them (crontab(5)).
fn settings(text: &[u8]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in String::from_utf8_lossy(text).lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        let (name, value) = (unquoted(name), unquoted(value));
        if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
        {
            found.retain(|(known, _)| *known != name);
            found.push((name, value));
        }
    }
    found
}

/// Without the three lines that the program puts at the top of its file.
fn without_header(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    for begin in ["# DO NOT EDIT THIS FILE", "# (", "# (Cron version"] {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n').filter(|_| rest.starts_with(begin.as_bytes())) else { return bytes };
        rest = &rest[end + 1..];
    }
    rest
}

/// As Debian's program lists it.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| if *byte == b'\r' { b"\\r".to_vec() } else { vec![*byte] }).collect()
}

/// Returns the number of the line that sets the zone for what stands below a text (crontab(5) of cronie); an empty value is the host's.
fn line_of_zone(text: &[u8]) -> Option<usize> {
    let mut found = None;
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        if name.trim().trim_matches(['"', '\'']) == "CRON_TZ" {
            found = (!value.trim().trim_matches(['"', '\'']).is_empty()).then_some(number);
        }
    }
    found
}

impl Crontab {
    /// Returns what moves the lines of the block: a `CRON_TZ` above it, where the daemon is cronie. Others ignore it.
    fn moved(&self, crontab: &[u8]) -> Option<(String, String)> {
        let start = block::find(crontab, &self.id).ok()??.range.start;
        let line = line_of_zone(&crontab[..start])?;
        // crontab(1) of cronie: -V prints its name; the others know no such option.
        let is_cronie = call("crontab", &["-V"], b"").is_ok_and(|said| {
            [said.stdout.as_slice(), said.stderr.as_bytes()].iter().any(|text| String::from_utf8_lossy(text).contains("cronie"))
        });
        let message = format!("line {line} of {} sets CRON_TZ, by which cronie moves every line below it", self.place());
        is_cronie.then(|| (message, "move it and the lines that need it below the block, or add --scheduler systemd".to_owned()))
    }

    /// Returns the crontab as it is; none is an empty one. Any other failure is one: what can't be read must not be overwritten.
    fn list(&self) -> Result<Vec<u8>, NotInstalled> {
        let listed = call("crontab", &["-l"], b"")?;
        if listed.exit.is_done() {
            return self.unescaped(listed.stdout);
        }
        let said = listed.stderr.trim();
        // Debian, cronie and macOS say the first (crontab(1) of each), busybox the second.
        let is_none = said.contains("no crontab for") || said == format!("crontab: can't open '{}': No such file or directory", self.user);
        if listed.exit == Exit::Code(1) && is_none && listed.stdout.is_empty() {
            return Ok(Vec::new());
        }
        if said.contains("not allowed") {
            let message = format!("reading {}: {}", self.place(), words(&listed));
            let hint =
                format!("root allows it: a line {} in /etc/cron.allow, none in /etc/cron.deny; or add --scheduler systemd", self.user);
            return Err(NotInstalled::new("denied", message, hint));
        }
        let message = format!("reading {}: crontab -l failed with {}", self.place(), words(&listed));
        Err(NotInstalled::new("unreadable", message, "nothing is written to a crontab that can't be read; see what `crontab -l` says"))
    }

    /// Debian's program lists a carriage return as the two characters `\r` (3.0pl1-162), and what was listed is written back. The spool's
    /// file says which of them it is; who can't read it can't tell.
    fn unescaped(&self, listed: Vec<u8>) -> Result<Vec<u8>, NotInstalled> {
        if !listed.windows(2).any(|pair| pair == b"\\r") {
            return Ok(listed);
        }
        let spools = ["/var/spool/cron/crontabs", "/var/spool/cron"].map(|folder| Path::new(folder).join(&self.user));
        let found = spools.iter().filter_map(|path| std::fs::read(path).ok()).map(|bytes| without_header(&bytes).to_vec());
        found.into_iter().find(|bytes| *bytes == listed || escaped(bytes) == listed).ok_or_else(|| {
            let message = format!("{} is listed with \\r, which may be a carriage return or these two characters", self.place());
            let hint = "take the carriage returns out: crontab -e, or run this as root";
            NotInstalled::new("ambiguous", message, hint)
        })
    }

    fn give(&self, arguments: &[&str], text: &[u8]) -> Result<(), NotInstalled> {
        let given = call("crontab", arguments, text)?;
        if given.exit.is_done() {
            return Ok(());
        }
        let message = format!("changing {}: crontab {} failed with {}", self.place(), arguments.join(" "), words(&given));
        Err(NotInstalled::new(
            "refused",
            message,
            format!("see what stands there: crontab -l; as it was before: {}", self.backup.display()),
        ))
    }

    fn read_back(&self, expected: &[u8]) -> Result<(), NotInstalled> {
        let mut expected = expected;
        let mut back = self.list()?;
        // Some programs put a header of their own above what they take, and list it: the one that was listed before is still within.
        if let Some(old) = header(expected).filter(|_| headless(&back) == Some(expected)) {
            expected = &expected[old..];
            self.give(&["-"], expected)?;
            back = self.list()?;
        }
        if back == expected || headless(&back) == Some(expected) {
            return Ok(());
        }
        let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let line = lines(&back).iter().zip(&lines(expected)).take_while(|(one, other)| one == other).count() + 1;
        let message = format!("{} is not what was given to crontab: it differs from line {line} on", self.place());
        let hint = format!("look at it: crontab -l; to put back what was there before: crontab {}", self.backup.display());
        Err(NotInstalled::new("not_as_given", message, hint))
    }

    fn keep(&self, before: &[u8]) -> Result<(), NotInstalled> {
        let written = self.backup.parent().map_or(Ok(()), private::make_folder).and_then(|()| {
            let mut file = private::open(std::fs::OpenOptions::new().create(true).truncate(true).write(true), &self.backup)?;
            std::io::Write::write_all(&mut file, before)
        });
        written.map_err(|error| {
            let message = format!("keeping the crontab as it was in {}: {error}", self.backup.display());
            NotInstalled::new("io", message, "nothing was changed; see that this user may write there")
        })
    }

    fn spoiled(&self, spoiled: &Spoiled) -> NotInstalled {
        NotInstalled::new("spoiled_block", format!("{}: {spoiled}; nothing was changed", self.place()), spoiled.hint())
    }
}

fn text(there: &[Rendered]) -> &[u8] {
    there.first().map_or(&[], |file| &file.bytes)
}

/// Returns the length of the three lines that Vixie's crontab writes above what it takes; `None` where there are none.
fn header(text: &[u8]) -> Option<usize> {
    let starts = ["# DO NOT EDIT THIS FILE", "# (", "# (Cron version"];
    let mut length = 0;
    for start in starts {
        let line = text[length..].split_inclusive(|byte| *byte == b'\n').next()?;
        length += line.starts_with(start.as_bytes()).then_some(line.len())?;
    }
    Some(length)
}

/// Returns what stands below such a header.
fn headless(text: &[u8]) -> Option<&[u8]> {
    header(text).map(|length| &text[length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_moves_those_below_it_is_found() {
        for (text, line) in [
            ("", None),
            ("MAILTO=a\n5 * * * * x --zone CRON_TZ=UTC\n", None),
            ("# CRON_TZ=UTC\n", None),
            ("\nCRON_TZ=Asia/Tokyo\r\n", Some(2)),
            ("  CRON_TZ = \"UTC\"\n0 0 * * * x\n", Some(1)),
            ("CRON_TZ=UTC\nCRON_TZ=\n", None),
            ("CRON_TZ=UTC\nCRON_TZ=Asia/Tokyo\n", Some(2)),
        ] {
            assert_eq!(line_of_zone(text.as_bytes()), line, "{text:?}");
        }
    }

    #[test]
    fn variables_are_those_that_lines_set_and_the_last_of_a_name_holds() {
        let text = "# A=1\nPATH=/a\n  MAILTO = \"x y\"\n5 * * * * B=2 x\nPATH=/b:/c\n@daily C=3\n";
        let expected = [("MAILTO", "x y"), ("PATH", "/b:/c")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(settings(text.as_bytes()), expected);
    }
}
