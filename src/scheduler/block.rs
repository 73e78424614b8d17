//! Our block in a stranger's crontab: found, put in, taken out. Every other byte stays, whatever it is. Pure; never runs crontab.
//!
//! A block is the lines from `# BEGIN etlsched <id>` to `# END etlsched <id>`. Markers are whole lines; space at their end doesn't count (an
//! editor may have turned the line ends of the whole file). A crontab whose markers make no sense is refused: nobody knows what is whose.

use std::fmt;
use std::ops::Range;

/// The first line of a block that had to end the line above it. Taking the block out takes that line end out again.
const LINE_ENDED: &[u8] = b"# (the line above had no line end before)\n";

/// A block as it stands in a crontab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its bytes, markers and their line ends counted in.
    pub range: Range<usize>,
    /// The number of its first line, from 1.
    pub line: usize,
    /// The block as it was put in: without the note about the line above.
    pub text: Vec<u8>,
    /// Whether it ended the line above it.
    has_ended_line: bool,
}

/// Why nobody can say what is ours: lines are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoiled {
    /// A block that begins and never ends.
    NoEnd {
        /// The line of its BEGIN.
        begin: usize,
    },
    /// A block that ends and never begins.
    NoBegin {
        /// The line of its END.
        end: usize,
    },
    /// Two blocks, or more.
    Several {
        /// The lines of their BEGINs.
        begins: Vec<usize>,
    },
    /// Markers of two blocks within each other.
    Nested {
        /// The line of the outer BEGIN.
        outer: usize,
        /// The line of the marker within it.
        inner: usize,
    },
}

impl fmt::Display for Spoiled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnd { begin } => write!(formatter, "line {begin} begins the block of this workspace, and no line ends it"),
            Self::NoBegin { end } => write!(formatter, "line {end} ends the block of this workspace, and no line begins it"),
            Self::Several { begins } => {
                let lines: Vec<String> = begins.iter().map(usize::to_string).collect();
                write!(formatter, "lines {} each begin a block of this workspace", lines.join(" and "))
            }
            Self::Nested { outer, inner } => {
                write!(formatter, "line {inner} is a marker inside of the block that line {outer} begins")
            }
        }
    }
}

impl Spoiled {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        let part = match self {
            Self::NoEnd { .. } => "add the missing END line, or take out what is left of the block",
            Self::NoBegin { .. } => "add the missing BEGIN line, or take out what is left of the block",
            Self::Several { .. } => "take out all of them but one",
            Self::Nested { .. } => "part the two blocks",
        };
        format!("{part} by hand: crontab -e")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Begin,
    End,
}

/// A line that is a marker, of whichever workspace.
#[derive(Debug)]
struct Marker {
    side: Side,
    is_ours: bool,
    id: Vec<u8>,
    line: usize,
    range: Range<usize>,
}

/// Finds the block of a workspace.
///
/// # Errors
/// Its markers make no sense.
pub fn find(crontab: &[u8], id: &str) -> Result<Option<Found>, Spoiled> {
    let markers = markers(crontab, id);
    let ours: Vec<usize> = (0..markers.len()).filter(|at| markers[*at].is_ours).collect();
    let lines = |side| ours.iter().map(|at| &markers[*at]).filter(|marker| marker.side == side).map(|marker| marker.line).collect();
    let (begins, ends): (Vec<usize>, Vec<usize>) = (lines(Side::Begin), lines(Side::End));
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => return Ok(None),
        ([], [end, ..]) => return Err(Spoiled::NoBegin { end: *end }),
        ([begin], []) => return Err(Spoiled::NoEnd { begin: *begin }),
        ([_, _, ..], _) => return Err(Spoiled::Several { begins }),
        ([_], [_]) => {}
        ([_], [first, second, ..]) => {
            return Err(Spoiled::NoBegin { end: if markers[ours[0]].side == Side::End { *first } else { *second } });
        }
    }
    let (first, last) = (ours[0], ours[1]);
    if markers[first].side == Side::End {
        return Err(Spoiled::NoBegin { end: markers[first].line });
    }
    if last != first + 1 {
        return Err(Spoiled::Nested { outer: markers[first].line, inner: markers[first + 1].line });
    }
    if let Some(outer) = around(&markers, first) {
        return Err(Spoiled::Nested { outer: outer.line, inner: markers[first].line });
    }
    Ok(Some(found(crontab, &markers[first], &markers[last])))
}

/// Returns another workspace's block that begins before ours and ends after it.
fn around(markers: &[Marker], ours: usize) -> Option<&Marker> {
    let before = markers[..ours].last().filter(|marker| marker.side == Side::Begin)?;
    markers[ours..].iter().any(|marker| marker.side == Side::End && marker.id == before.id).then_some(before)
}

fn found(crontab: &[u8], begin: &Marker, end: &Marker) -> Found {
    let inside = &crontab[begin.range.end..end.range.start];
    let has_ended_line = inside.starts_with(LINE_ENDED);
    let inside = if has_ended_line { &inside[LINE_ENDED.len()..] } else { inside };
    let text = [&crontab[begin.range.clone()], inside, &crontab[end.range.clone()]].concat();
    Found { range: begin.range.start..end.range.end, line: begin.line, text, has_ended_line }
}

/// Puts a block where the workspace's block is, else at the end. `block` is whole: from its BEGIN line to its END line.
///
/// # Errors
/// The markers of the crontab make no sense.
pub fn put(crontab: &[u8], id: &str, block: &[u8]) -> Result<Vec<u8>, Spoiled> {
    let there = find(crontab, id)?;
    let range = there.as_ref().map_or(crontab.len()..crontab.len(), |found| found.range.clone());
    let (before, after) = (&crontab[..range.start], &crontab[range.end..]);
    let is_open = !before.is_empty() && !before.ends_with(b"\n");
    let is_noted = is_open || there.is_some_and(|found| found.has_ended_line);
    let head = block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1);
    let parts: [&[u8]; 6] =
        [before, if is_open { b"\n" } else { b"" }, &block[..head], if is_noted { LINE_ENDED } else { b"" }, &block[head..], after];
    Ok(parts.concat())
}

/// Takes the workspace's block out; a crontab without one comes back as it is.
///
/// # Errors
/// The markers of the crontab make no sense.
pub fn remove(crontab: &[u8], id: &str) -> Result<Vec<u8>, Spoiled> {
    let Some(found) = find(crontab, id)? else { return Ok(crontab.to_vec()) };
    let (mut before, after) = (&crontab[..found.range.start], &crontab[found.range.end..]);
    // Only where nothing came to stand below: two lines must never become one.
    if found.has_ended_line && after.is_empty() {
        before = before.strip_suffix(b"\n").unwrap_or(before);
    }
    Ok([before, after].concat())
}

/// Returns where blocks begin of the same folder under another id: the number of their line and their id. Such a one is left behind where
/// the folder's store was removed and made anew.
pub fn left_behind(crontab: &[u8], id: &str) -> Vec<(usize, String)> {
    let digest = id.rsplit_once('-').map_or(id, |(_, digest)| digest);
    let is_of_folder = |marker: &Marker| {
        let other = marker.id.rsplit(|byte| *byte == b'-').next();
        marker.side == Side::Begin && !marker.is_ours && other == Some(digest.as_bytes())
    };
    let found = markers(crontab, id).into_iter().filter(is_of_folder);
    found.map(|marker| (marker.line, String::from_utf8_lossy(&marker.id).into_owned())).collect()
}

fn markers(crontab: &[u8], id: &str) -> Vec<Marker> {
    let mut start = 0;
    let mut markers = Vec::new();
    for (index, line) in crontab.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let range = start..start + line.len();
        start = range.end;
        let text = line.trim_ascii_end();
        let sides = [(Side::Begin, text.strip_prefix(b"# BEGIN etlsched ")), (Side::End, text.strip_prefix(b"# END etlsched "))];
        if let Some((side, Some(given))) = sides.into_iter().find(|(_, rest)| rest.is_some()) {
            markers.push(Marker { side, is_ours: given == id.as_bytes(), id: given.to_vec(), line: index + 1, range });
        }
    }
    markers
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
