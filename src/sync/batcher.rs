//! Groups items into batches by route. A batch is full at a number of items or bytes.

/// The most bytes held in batches that are not full. Held items keep their permits and so block the items behind them.
const MAX_HELD: usize = 8 << 20;

/// The least number of bytes that an item counts for.
const MIN_ITEM: usize = 1 << 10;

/// Batches that are not full yet, one for each route.
pub struct Batcher<T> {
    batches: Vec<RouteBatch<T>>,
    max_items: usize,
    max_bytes: usize,
    held: usize,
}

struct RouteBatch<T> {
    route: Vec<u8>,
    items: Vec<T>,
    bytes: usize,
    held: usize,
}

impl<T> Batcher<T> {
    /// Creates a batcher with these limits of a batch.
    pub fn new(max_items: usize, max_bytes: usize) -> Self {
        Self { batches: Vec::new(), max_items, max_bytes, held: 0 }
    }

    /// Adds an item of `bytes` bytes; returns the batches that are full now.
    pub fn push(&mut self, route: &[u8], bytes: usize, item: T) -> Vec<Vec<T>> {
        let index = self.batches.iter().position(|batch| batch.route == route).unwrap_or_else(|| {
            self.batches.push(RouteBatch { route: route.to_vec(), items: Vec::new(), bytes: 0, held: 0 });
            self.batches.len() - 1
        });
        let mut full = Vec::new();
        // One more byte for the comma after the item.
        if self.batches[index].bytes + bytes + 1 > self.max_bytes {
            full.extend(self.take(index));
        }
        let (batch, held) = (&mut self.batches[index], bytes.max(MIN_ITEM));
        batch.items.push(item);
        batch.bytes += bytes + 1;
        batch.held += held;
        self.held += held;
        if batch.items.len() >= self.max_items {
            full.extend(self.take(index));
        }
        if self.held > MAX_HELD
            && let Some((largest, _)) = self.batches.iter().enumerate().max_by_key(|(_, batch)| batch.held)
        {
            full.extend(self.take(largest));
        }
        full
    }

    fn take(&mut self, index: usize) -> Option<Vec<T>> {
        let batch = &mut self.batches[index];
        self.held -= batch.held;
        (batch.bytes, batch.held) = (0, 0);
        Some(std::mem::take(&mut batch.items)).filter(|items| !items.is_empty())
    }

    /// Returns the remaining items, one batch per route.
    pub fn rest(self) -> impl Iterator<Item = Vec<T>> {
        self.batches.into_iter().map(|batch| batch.items).filter(|items| !items.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_one_route_and_is_full_by_number_or_bytes() {
        let mut batcher = Batcher::new(3, 100);
        assert!(batcher.push(b"a", 10, 1).is_empty());
        assert!(batcher.push(b"b", 10, 2).is_empty());
        assert!(batcher.push(b"a", 10, 3).is_empty());
        assert_eq!(batcher.push(b"a", 10, 4), [[1, 3, 4]]);
        assert_eq!(batcher.push(b"b", 90, 5), [[2]]);
        // An item larger than a batch gets a batch of its own.
        assert_eq!(batcher.push(b"b", 1000, 6), [[5]]);
        assert!(batcher.push(b"a", 1, 7).is_empty());
        assert_eq!(batcher.rest().collect::<Vec<_>>(), [[7], [6]]);
    }

    #[test]
    fn the_bytes_held_for_many_routes_are_bounded() {
        let mut batcher = Batcher::new(1000, usize::MAX);
        let mut out = 0;
        for number in 0..100_000u32 {
            let route = (number % 500).to_be_bytes();
            out += batcher.push(&route, 100, number).iter().map(Vec::len).sum::<usize>();
            assert!(batcher.held <= MAX_HELD);
        }
        assert_eq!(out + batcher.rest().map(|batch| batch.len()).sum::<usize>(), 100_000);
    }
}
