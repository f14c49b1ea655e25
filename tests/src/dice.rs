//! What random tests roll.

/// A small generator: what is random need not be good, only repeatable, so that a seed
/// names a run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The seed must not be zero: nothing but zeros would follow.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
