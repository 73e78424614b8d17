//! The parts of our crontab block: its head, the lines of each job, and what stands below them. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A block taken apart; lines without their ends, markers left out.
#[derive(Debug, Default)]
struct Parts<'a> {
    begin: &'a [u8],
    head: Vec<&'a [u8]>,
    jobs: BTreeMap<String, Vec<&'a [u8]>>,
    tail: Vec<&'a [u8]>,
    end: &'a [u8],
}

/// Returns the jobs that a block has lines for.
pub fn jobs(block: &[u8]) -> BTreeSet<String> {
    parts(block).jobs.into_keys().collect()
}

/// Returns the block that should stand: `fresh`, and of `old` the lines of the jobs in `kept` that `fresh` has none for. Without `fresh`, only
/// these. `None` where nothing is left.
pub fn merged(fresh: Option<&[u8]>, old: &[u8], kept: &BTreeSet<String>) -> Option<Vec<u8>> {
    let mut old = parts(old);
    old.jobs.retain(|job, _| kept.contains(job));
    let Some(fresh) = fresh else { return (!old.jobs.is_empty()).then(|| whole(&old)) };
    let mut all = parts(fresh);
    for (job, lines) in old.jobs {
        all.jobs.entry(job).or_insert(lines);
    }
    Some(whole(&all))
}

fn whole(parts: &Parts<'_>) -> Vec<u8> {
    let Parts { begin, head, jobs, tail, end } = parts;
    let lines = [*begin].into_iter().chain(head.iter().copied()).chain(jobs.values().flatten().copied()).chain(tail.iter().copied());
    let mut bytes = Vec::new();
    for line in lines.chain([*end]) {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

fn parts(block: &[u8]) -> Parts<'_> {
    let mut lines: Vec<&[u8]> = block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    lines.pop_if(|last| last.is_empty());
    let [begin, inner @ .., end] = lines.as_slice() else { return Parts::default() };
    let mut parts = Parts { begin, end, ..Parts::default() };
    // Comments stand above what they speak of.
    let mut above: Vec<&[u8]> = Vec::new();
    for line in inner {
        match job_of(line) {
            Some(job) => {
                let title = format!("# {job}: ");
                let own = above.iter().position(|comment| comment.starts_with(title.as_bytes())).unwrap_or(above.len());
                let lines = parts.jobs.entry(job).or_default();
                lines.extend(above.split_off(own));
                lines.push(line);
                // What stands above the first job is the head; further down, such lines are none of ours and go.
                if parts.jobs.len() == 1 && parts.head.is_empty() {
                    parts.head = std::mem::take(&mut above);
                }
                above.clear();
            }
            None => above.push(line),
        }
    }
    if parts.jobs.is_empty() {
        parts.head = above
    } else {
        parts.tail = above
    }
    parts
}

/// Returns the job that a line starts: it ends with `run JOB --scheduled`.
pub fn job_of(line: &[u8]) -> Option<String> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = str::from_utf8(line.strip_suffix(b" --scheduled")?).ok()?;
    let (before, job) = line.rsplit_once(' ')?;
    let is_id = job.starts_with(|first: char| first.is_ascii_alphanumeric());
    (is_id && before.ends_with(" run")).then(|| job.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "# BEGIN etlsched w\n# Times of UTC\nMAILTO=ops\n# a: Daily at 06:00, UTC\n0 6 * * * /e -C /w run a --scheduled\n\
                         # b: Hourly, UTC\n0 * * * * /e -C /w run b --scheduled\n15 * * * * /e -C /w run b --scheduled\n# down\n\
                         @reboot /e -C /w run --due --scheduled\n# END etlsched w\n";

    fn set(jobs: &[&str]) -> BTreeSet<String> {
        jobs.iter().map(|job| (*job).to_owned()).collect()
    }

    #[track_caller]
    fn check(fresh: Option<&str>, old: &str, kept: &[&str], expected: Option<&str>) {
        let merged = merged(fresh.map(str::as_bytes), old.as_bytes(), &set(kept));
        assert_eq!(merged.map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), expected);
    }

    #[test]
    fn a_block_knows_its_jobs() {
        assert_eq!(jobs(BLOCK.as_bytes()), set(&["a", "b"]));
        assert_eq!(jobs(BLOCK.replace('\n', "\r\n").as_bytes()), set(&["a", "b"]));
        assert_eq!(jobs(b""), set(&[]));
        assert_eq!(jobs(b"# BEGIN etlsched w\n# x run c --scheduled\n0 0 * * * run d\n# END etlsched w\n"), set(&[]));
    }

    #[test]
    fn jobs_that_are_kept_stay_line_by_line_and_others_go() {
        let without_a = BLOCK.replace("# a: Daily at 06:00, UTC\n0 6 * * * /e -C /w run a --scheduled\n", "");
        check(Some(BLOCK), "", &["x"], Some(BLOCK));
        check(Some(&without_a), BLOCK, &["a", "x"], Some(BLOCK));
        check(Some(&without_a), &BLOCK.replace('\n', "\r\n"), &["a"], Some(BLOCK));
        check(Some(&without_a), BLOCK, &[], Some(&without_a));
        check(None, BLOCK, &["b"], Some(&without_a));
        check(None, BLOCK, &["x"], None);
        check(None, "", &["x"], None);
        // The fresh lines of a job win over those that stand there.
        check(Some(BLOCK), &BLOCK.replace("0 6 *", "9 9 *"), &["a", "b"], Some(BLOCK));
    }
}
