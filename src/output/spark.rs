//! A row of blocks for a row of numbers: how durations went.

/// Eight steps, in characters that a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// U+2581 to U+2588.
    Unicode,
    /// For locales that are not UTF-8.
    Ascii,
}

const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

impl Blocks {
    /// Returns what the locale allows: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set names it (setlocale(3)). Windows' consoles
    /// take UTF-8 from us anyway.
    pub fn of_locale() -> Self {
        let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
        Self::of(set.map(|value| value.to_string_lossy().into_owned()).as_deref())
    }

    fn of(locale: Option<&str>) -> Self {
        let name = locale.unwrap_or_default().to_lowercase();
        let is_unicode = cfg!(windows) || name.contains("utf-8") || name.contains("utf8");
        if is_unicode { Self::Unicode } else { Self::Ascii }
    }
}

/// Returns numbers as blocks: the least is the lowest, the greatest the highest; equal ones are in the middle.
pub fn sparkline(numbers: &[f64], blocks: Blocks) -> String {
    let steps = match blocks {
        Blocks::Unicode => UNICODE,
        Blocks::Ascii => ASCII,
    };
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let range = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    let step = |number: &f64| if range > 0.0 { ((number - least) / range * 7.0).round() as usize } else { 3 };
    numbers.iter().map(|number| steps[step(number).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_the_lowest_and_the_greatest_the_highest() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], Blocks::Unicode), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[5.0, 100.0, 52.0], Blocks::Ascii), "_#-");
        assert_eq!(sparkline(&[3.0, 3.0], Blocks::Ascii), "--");
        assert_eq!(sparkline(&[], Blocks::Unicode), "");
    }

    #[test]
    #[cfg(unix)]
    fn a_locale_that_is_not_utf_8_gets_ascii() {
        let found = [Some("en_US.UTF-8"), Some("C.utf8"), Some("C"), Some("de_DE.ISO-8859-1"), None].map(Blocks::of);
        assert_eq!(found, [Blocks::Unicode, Blocks::Unicode, Blocks::Ascii, Blocks::Ascii, Blocks::Ascii]);
    }
}
