//! How durations are spread: half of them, most of them, all of them.

/// Durations summed up, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of them took at most this.
    pub p50: f64,
    /// 95 of a hundred took at most this.
    pub p95: f64,
    /// None took longer.
    pub max: f64,
}

impl Spread {
    /// Sums durations up; `None` where there are none. By the nearest rank: each figure is a duration that was measured.
    pub fn of(durations: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = durations.into_iter().filter(|seconds| seconds.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let max = *sorted.last()?;
        Some(Self { p50: rank(&sorted, 50), p95: rank(&sorted, 95), max })
    }
}

/// Returns the least value that is not exceeded by so many of a hundred; `sorted` is not empty.
fn rank(sorted: &[f64], hundredths: usize) -> f64 {
    sorted[(sorted.len() * hundredths).div_ceil(100).saturating_sub(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(durations: &[f64], expected: Option<(f64, f64, f64)>) {
        let found = Spread::of(durations.iter().copied()).map(|spread| (spread.p50, spread.p95, spread.max));
        assert_eq!(found, expected);
    }

    #[test]
    fn figures_are_durations_that_were_measured() {
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[4.0, 1.0], Some((1.0, 4.0, 4.0)));
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        check(&hundred, Some((50.0, 95.0, 100.0)));
        check(&[1.0, f64::NAN, f64::INFINITY], Some((1.0, 1.0, 1.0)));
    }
}
