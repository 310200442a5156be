//! The author's frames in a stack.

use sluicegate_engine::frame_position;
use sluicegate_engine::testing::TESTING_SCRIPT;
use sluicegate_engine::verdict::Position;

/// Returns the author's frames in a stack.
pub fn author_frames(stack: &str) -> impl Iterator<Item = &str> {
    stack
        .lines()
        .filter(|line| line.starts_with("    at ") && !line.contains(TESTING_SCRIPT) && !line.contains("<anonymous>"))
}

/// Returns the position of the author's first frame.
pub fn first_place(stack: &str) -> Option<Position> {
    author_frames(stack).find_map(frame_position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_first_frame_of_the_authors() {
        let stack = "AssertionError: no\n    at fail (sluicegate:testing:1:2)\n    at Array.map (<anonymous>)\n    at a.test.js:3:4";
        assert_eq!(first_place(stack), Some(Position { file: "a.test.js".into(), line: 3, column: 4 }));
        assert_eq!(first_place("Error: x"), None);
    }
}
