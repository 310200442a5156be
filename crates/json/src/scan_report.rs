//! What one look through a line finds that V8 would print differently.

use crate::number::{is_canonical, value_of};

/// What V8 would print differently from how it stands in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTripLoss {
    /// White space between tokens, or escapes that V8 writes otherwise.
    pub form: bool,
    /// Numbers whose text is not the one V8 prints.
    pub numbers: bool,
    /// Numbers beyond the range of doubles, which V8 reads as infinite and prints as `null`.
    pub infinite: bool,
    /// Keys that look like array indices, which JavaScript puts before all others.
    pub index_keys: bool,
}

impl RoundTripLoss {
    /// Takes a number into account.
    pub fn number(&mut self, text: &[u8]) {
        if !is_canonical(text) {
            self.numbers = true;
            self.infinite |= value_of(text).is_infinite();
        }
    }
}

/// What is known of a line before it is compared with its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// What V8 would print differently.
    pub losses: RoundTripLoss,
    /// Whether an object may hold the same key twice.
    pub duplicates: bool,
}

impl ScanReport {
    /// Whether V8's text may differ from the line although nothing was changed.
    pub fn any(self) -> bool {
        let RoundTripLoss { form, numbers, index_keys, infinite: _ } = self.losses;
        form || numbers || index_keys || self.duplicates
    }
}
