//! In which order messages are worked on: none, that of their arrival, or that of their key.

mod lanes;
mod lines;

/// A message of these tests: which key, and which of its key.
type Keyed = (u32, u32);

/// Messages of `keys` keys, `each` of each, taking turns.
fn turns(keys: u32, each: u32) -> impl Iterator<Item = Keyed> + Send + 'static {
    (0..each).flat_map(move |seq| (0..keys).map(move |key| (key, seq)))
}

/// The sequence of one key.
fn of_key(items: &[Keyed], key: u32) -> Vec<u32> {
    let of = items.iter().filter(|item| item.0 == key);
    of.map(|item| item.1).collect()
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Whatever it is asked about, each time something else.
    fn delay(&self, item: Keyed) -> std::time::Duration {
        let mut dice = Dice(self.0 ^ (u64::from(item.0) << 32) ^ (u64::from(item.1) + 1));
        dice.roll(97);
        std::time::Duration::from_millis(dice.roll(20))
    }
}
