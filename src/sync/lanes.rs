//! Groups items into batches by route. A batch is full at a number of items or bytes.

/// The most bytes held in batches that are not full. Held items keep their permits and so block the items behind them.
const MAX_HELD: usize = 8 << 20;

/// The least number of bytes that an item counts for.
const MIN_ITEM: usize = 1 << 10;

/// Batches that are not full yet, one for each route.
pub struct Lanes<T> {
    lanes: Vec<Lane<T>>,
    max_items: usize,
    max_bytes: usize,
    held: usize,
}

struct Lane<T> {
    route: Vec<u8>,
    items: Vec<T>,
    bytes: usize,
    held: usize,
}

impl<T> Lanes<T> {
    /// Creates lanes with these limits of a batch.
    pub fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { lanes: Vec::new(), max_items, max_bytes, held: 0 }
    }

    /// Adds an item of `bytes` bytes; returns the batches that are full now.
    pub fn push(&mut self, route: &[u8], bytes: usize, item: T) -> Vec<Vec<T>> {
        let index = self.lanes.iter().position(|lane| lane.route == route).unwrap_or_else(|| {
            self.lanes.push(Lane { route: route.to_vec(), items: Vec::new(), bytes: 0, held: 0 });
            self.lanes.len() - 1
        });
        let mut full = Vec::new();
        // One more byte for the comma after the item.
        if self.lanes[index].bytes + bytes + 1 > self.max_bytes {
            full.extend(self.take(index));
        }
        let (lane, held) = (&mut self.lanes[index], bytes.max(MIN_ITEM));
        lane.items.push(item);
        lane.bytes += bytes + 1;
        lane.held += held;
        self.held += held;
        if lane.items.len() >= self.max_items {
            full.extend(self.take(index));
        }
        if self.held > MAX_HELD
            && let Some((largest, _)) = self.lanes.iter().enumerate().max_by_key(|(_, lane)| lane.held)
        {
            full.extend(self.take(largest));
        }
        full
    }

    fn take(&mut self, index: usize) -> Option<Vec<T>> {
        let lane = &mut self.lanes[index];
        self.held -= lane.held;
        (lane.bytes, lane.held) = (0, 0);
        Some(std::mem::take(&mut lane.items)).filter(|items| !items.is_empty())
    }

    /// Returns the remaining items, one batch per route.
    pub fn rest(self) -> impl Iterator<Item = Vec<T>> {
        self.lanes.into_iter().map(|lane| lane.items).filter(|items| !items.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_one_route_and_is_full_by_number_or_bytes() {
        let mut lanes = Lanes::new(3, 100);
        assert!(lanes.push(b"a", 10, 1).is_empty());
        assert!(lanes.push(b"b", 10, 2).is_empty());
        assert!(lanes.push(b"a", 10, 3).is_empty());
        assert_eq!(lanes.push(b"a", 10, 4), [[1, 3, 4]]);
        assert_eq!(lanes.push(b"b", 90, 5), [[2]]);
        // An item larger than a batch gets a batch of its own.
        assert_eq!(lanes.push(b"b", 1000, 6), [[5]]);
        assert!(lanes.push(b"a", 1, 7).is_empty());
        assert_eq!(lanes.rest().collect::<Vec<_>>(), [[7], [6]]);
    }

    #[test]
    fn what_waits_in_many_lanes_is_bounded() {
        let mut lanes = Lanes::new(1000, usize::MAX);
        let mut out = 0;
        for number in 0..100_000u32 {
            let route = (number % 500).to_be_bytes();
            out += lanes.push(&route, 100, number).iter().map(Vec::len).sum::<usize>();
            assert!(lanes.held <= MAX_HELD);
        }
        assert_eq!(out + lanes.rest().map(|batch| batch.len()).sum::<usize>(), 100_000);
    }
}
