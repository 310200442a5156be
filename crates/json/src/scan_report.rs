//! The result of a scan: which parts of a line V8 would print differently.

use crate::number::{is_canonical, value_of};

/// The kinds of text in a line that V8 would print differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTripLoss {
    /// White space between tokens, or escapes that V8 prints in another way.
    pub form: bool,
    /// Numbers that V8 prints with another text.
    pub numbers: bool,
    /// Numbers beyond the range of doubles, which V8 reads as infinite and prints as `null`.
    pub infinite: bool,
    /// Keys that look like array indices, which JavaScript moves before all others.
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

/// What is known about a line before it is compared with its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// What V8 would print differently.
    pub losses: RoundTripLoss,
    /// Whether an object may have a duplicate key.
    pub duplicates: bool,
}

impl ScanReport {
    /// Whether V8's text may differ from the line even if nothing was changed.
    pub fn any(self) -> bool {
        let RoundTripLoss { form, numbers, index_keys, infinite: _ } = self.losses;
        form || numbers || index_keys || self.duplicates
    }
}
