//! `kill -9` at random moments. [`judge`] kills a loader again and again and says what it did wrong; [`stand_ins`] are loaders with
//! a planted fault that it must convict, and an honest one that it must acquit; [`program`] is the real one.
//!
//! `ETLSCHED_KILLS=500 cargo test --test it kills` kills the real program more often; `ETLSCHED_KILLS_SEED` gives other moments.

#![expect(clippy::print_stdout, reason = "the spread of the kills is shown with --nocapture")]

mod judge;
mod mysql;
mod postgresql;
mod program;
mod stand_ins;

/// Numbers that differ from seed to seed and not from run to run (SplitMix64, Steele et al. 2014).
pub struct Random(u64);

impl Random {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number of 32 bits.
    pub fn value(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).expect("32 bits are left")
    }

    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// Reads a number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}
