//! Finds the author's lines that ran, from V8's precise coverage.
//!
//! V8 counts per isolate, and a file runs in many isolates. The counts of each one are applied to the file's text,
//! inner ranges over outer ones, and then added, so that each character has its number of runs. A line is covered if
//! any of its code ran, and partly covered if not all of it did: the other branch of an `if` on one line, a function
//! that was not called. Blank lines, comments, types and lines with nothing but brackets are not code.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::parser_process::{self, Branch};
use sluicegate_engine::{ScriptCoverage, comments};

/// The files that ran, by their paths.
#[derive(Debug, Default)]
pub struct Coverage {
    files: BTreeMap<PathBuf, Counts>,
}

/// The numbers of runs of a file's code.
#[derive(Debug)]
struct Counts {
    /// The code as V8 got it: without types, which are replaced by blanks.
    code: String,
    /// The number of runs of each UTF-16 code unit.
    units: Vec<u64>,
    functions: BTreeMap<(u32, u32), Function>,
}

#[derive(Debug)]
struct Function {
    name: String,
    count: u64,
}

/// The coverage of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCoverage {
    /// Its path.
    pub path: PathBuf,
    /// Lines with code, from 1, with the number of runs of each.
    pub lines: BTreeMap<u32, u64>,
    /// Lines of which only a part ran.
    pub partly: Vec<u32>,
    /// Functions: line, name, and number of calls.
    pub functions: Vec<(u32, String, u64)>,
}

/// A branch in the code, and how many of its ways were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchCoverage {
    /// Its line, from 1.
    pub line: u32,
    /// The number of ways, including implicit ones (no `else`).
    pub ways: usize,
    /// The number of ways that were taken.
    pub taken: usize,
}

impl Coverage {
    /// Adds the coverage of one isolate for a file with this source.
    pub fn add(&mut self, path: &Path, code: &str, script: &ScriptCoverage) {
        let counts = self.files.entry(path.to_owned()).or_insert_with(|| Counts {
            code: code.to_owned(),
            units: vec![0; code.encode_utf16().count()],
            functions: BTreeMap::new(),
        });
        if counts.code != code {
            // The file has changed since, so these counts no longer match it.
            return;
        }
        let mut own = vec![0; counts.units.len()];
        for (index, function) in script.functions.iter().enumerate() {
            for range in &function.ranges {
                let end = (range.end_offset as usize).min(own.len());
                if let Some(units) = own.get_mut(range.start_offset as usize..end) {
                    units.fill(range.count);
                }
            }
            // The first function is the script itself. Functions that V8 adds
            // (the initializers of a class) have a name in angle brackets.
            if let (Some(range), false) = (function.ranges.first(), index == 0 || function.name.starts_with('<')) {
                let place = (range.start_offset, range.end_offset);
                let found = counts.functions.entry(place);
                found.or_insert_with(|| Function { name: function.name.clone(), count: 0 }).count += range.count;
            }
        }
        for (sum, count) in counts.units.iter_mut().zip(own) {
            *sum = sum.saturating_add(count);
        }
    }

    /// Returns the coverage of each file, by path.
    pub fn files(&self) -> Vec<FileCoverage> {
        self.files.iter().map(|(path, counts)| counts.file(path)).collect()
    }

    /// Parses a file and returns its branches, in the order of the source; empty if the file cannot be parsed.
    pub fn branches(&self, path: &Path) -> Vec<BranchCoverage> {
        let Some(counts) = self.files.get(path) else { return Vec::new() };
        let found = parser_process::branches(&counts.code).unwrap_or_default();
        found.iter().map(|branch| counts.branch(branch)).collect()
    }
}

impl Counts {
    fn branch(&self, branch: &Branch) -> BranchCoverage {
        let before = |at: usize| &self.code[..self.code.floor_char_boundary(at)];
        let ran = |at: usize| self.units.get(before(at).encode_utf16().count()).copied().unwrap_or_default();
        let counts: Vec<u64> = branch.ways.iter().map(|at| ran(*at)).collect();
        // The implicit way was taken by all runs that took no other.
        let implicit = branch.implicit && ran(branch.start) > counts.iter().sum();
        BranchCoverage {
            line: before(branch.start).matches('\n').count() as u32 + 1,
            ways: counts.len() + usize::from(branch.implicit),
            taken: counts.iter().filter(|count| **count > 0).count() + usize::from(implicit),
        }
    }

    fn file(&self, path: &Path) -> FileCoverage {
        let comments = comments(&self.code);
        let mut comment = comments.iter().peekable();
        let mut lines = BTreeMap::new();
        let mut partly = Vec::new();
        let (mut byte, mut unit) = (0, 0);
        let mut starts = Vec::new();
        for (number, line) in self.code.split_inclusive('\n').enumerate() {
            starts.push(unit as u32);
            let skipped = declaring(line);
            let (mut most, mut least) = (None::<u64>, u64::MAX);
            for (column, char) in line.char_indices() {
                let at = byte + column;
                while comment.next_if(|range| range.end <= at).is_some() {}
                let in_comment = comment.peek().is_some_and(|range| range.contains(&at));
                let counts = column >= skipped && !char.is_whitespace() && !"{}()[];,".contains(char);
                if counts && !in_comment {
                    let count = self.units.get(unit).copied().unwrap_or_default();
                    most = Some(most.map_or(count, |most| most.max(count)));
                    least = least.min(count);
                }
                unit += char.len_utf16();
            }
            byte += line.len();
            let number = number as u32 + 1;
            if let Some(most) = most {
                lines.insert(number, most);
                if most > 0 && least == 0 {
                    partly.push(number);
                }
            }
        }
        let functions = self.functions.iter().map(|((start, _), function)| {
            let line = starts.partition_point(|first| first <= start) as u32;
            let name = if function.name.is_empty() { "(anonymous)".to_owned() } else { function.name.clone() };
            (line, name, function.count)
        });
        FileCoverage { path: path.to_owned(), lines, partly, functions: functions.collect() }
    }
}

/// Returns the length of the part of a line that only declares
/// an export: this part runs even if the function never does.
fn declaring(line: &str) -> usize {
    let mut rest = line.trim_start();
    for word in ["export ", "default "] {
        rest = rest.strip_prefix(word).map_or(rest, str::trim_start);
    }
    let declares = ["function", "async ", "class "].iter().any(|word| rest.starts_with(word));
    if declares { line.len() - rest.len() } else { 0 }
}

impl FileCoverage {
    /// Returns the number of lines that ran, and the number of lines with code.
    pub fn line_counts(&self) -> (usize, usize) {
        (self.lines.values().filter(|count| **count > 0).count(), self.lines.len())
    }

    /// Returns the number of functions that were called, and the number of all functions.
    pub fn function_counts(&self) -> (usize, usize) {
        (self.functions.iter().filter(|(_, _, count)| *count > 0).count(), self.functions.len())
    }

    /// Returns the lines that did not run.
    pub fn uncovered(&self) -> Vec<u32> {
        self.lines.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line).collect()
    }
}

/// Returns the share of covered lines, in percent.
pub fn percent((covered, all): (usize, usize)) -> f64 {
    if all == 0 { 100.0 } else { covered as f64 * 100.0 / all as f64 }
}

/// Returns the sums of several files: of lines, and of functions.
pub fn sums(files: &[FileCoverage]) -> [(usize, usize); 2] {
    let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);
    let lines = files.iter().map(FileCoverage::line_counts).fold((0, 0), add);
    let functions = files.iter().map(FileCoverage::function_counts).fold((0, 0), add);
    [lines, functions]
}

/// Returns the coverage in lcov's format, for genhtml and most
/// services. Paths are absolute, so that readers find the sources.
pub fn lcov(files: &[FileCoverage]) -> String {
    let mut out = String::new();
    for file in files {
        let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
        let _ = writeln!(out, "TN:\nSF:{}", path.display());
        // Names must be unique, because readers merge functions of the same name.
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        file.functions.iter().for_each(|(_, name, _)| *names.entry(name).or_default() += 1);
        let unique: Vec<(u32, String, u64)> = file
            .functions
            .iter()
            .enumerate()
            .map(|(index, (line, name, count))| match names[name.as_str()] {
                1 => (*line, name.clone(), *count),
                _ => (*line, format!("{name}#{}", index + 1), *count),
            })
            .collect();
        for (line, name, _) in &unique {
            let _ = writeln!(out, "FN:{line},{name}");
        }
        for (_, name, count) in &unique {
            let _ = writeln!(out, "FNDA:{count},{name}");
        }
        let (called, functions) = file.function_counts();
        let _ = writeln!(out, "FNF:{functions}\nFNH:{called}");
        for (line, count) in &file.lines {
            let _ = writeln!(out, "DA:{line},{count}");
        }
        let (covered, lines) = file.line_counts();
        let _ = writeln!(out, "LF:{lines}\nLH:{covered}\nend_of_record");
    }
    out
}

/// Formats numbers as `1-3, 7`: in order, neighbours as ranges. Lines without code do not interrupt a range.
pub fn ranges(numbers: &[u32], with_code: &BTreeMap<u32, u64>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        let joins = |last: &(u32, u32)| with_code.range(last.1 + 1..*number).next().is_none();
        match parts.last_mut() {
            Some(last) if joins(last) => last.1 = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let text = parts.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_engine::{Engine, ObserverOptions, Options, Program, RunObserver};

    /// Returns the coverage of `code` after these events.
    fn covered(code: &str, events: &[&str]) -> FileCoverage {
        measured(code, events).files().remove(0)
    }

    fn measured(code: &str, events: &[&str]) -> Coverage {
        let observer = RunObserver::new(ObserverOptions { coverage: true, variables: false });
        let mut engine = Engine::observed(Program::new("t.js", code), Options::default(), &observer).unwrap();
        for event in events {
            engine.transform(event.as_bytes(), &mut Vec::new());
        }
        drop(engine);
        let mut coverage = Coverage::default();
        for script in observer.take_coverage() {
            coverage.add(Path::new("t.js"), code, &script);
        }
        coverage
    }

    #[test]
    fn branches_count_the_way_that_is_not_written() {
        let code = "// ü
export function transformEvent(event) {
  if (event.a) event.x = 1;
  if (event.b) event.y = 1; else event.y = 2;
  event.z = event.a && event.b;
  event.w = event.c ? 1 : 2;
  switch (event.kind) {
    case 'a':
    case 'b': return event;
    default: return null;
  }
}
";
        let branches = |events: &[&str]| -> Vec<(u32, usize, usize)> {
            let all = measured(code, events).branches(Path::new("t.js"));
            all.iter().map(|one| (one.line, one.taken, one.ways)).collect()
        };
        assert_eq!(branches(&["{}"]), [(3, 1, 2), (4, 1, 2), (5, 1, 2), (6, 1, 2), (7, 1, 2)]);
        assert_eq!(branches(&[r#"{"a":1,"b":1,"kind":"b"}"#]), [(3, 1, 2), (4, 1, 2), (5, 1, 2), (6, 1, 2), (7, 1, 2)]);
        assert_eq!(
            branches(&["{}", r#"{"a":1,"b":1,"kind":"b"}"#]),
            [(3, 2, 2), (4, 2, 2), (5, 2, 2), (6, 1, 2), (7, 2, 2)]
        );
    }

    const CODE: &str = "// ü: two bytes
const unused = (x) => {
  return x;
};

/* a comment */ export function transformEvent(event) {
  if (event.a) return null; // not always
  if (event.b) {
    event.c = 'never // a comment';
  } else {
    event.c = event.n
      ? 1
      : 2;
  }
  return event;
}

export function never() {
  return 1;
}
";

    #[test]
    fn lines_functions_and_parts() {
        let file = covered(CODE, &["{}", "{}"]);
        let counts: Vec<(u32, u64)> = file.lines.iter().map(|(line, count)| (*line, *count)).collect();
        let expected = [(2, 1), (3, 0), (6, 2), (7, 2), (8, 2), (9, 0), (10, 2), (11, 2), (12, 0), (13, 2), (15, 2)];
        assert_eq!(counts[..11], expected, "{counts:?}");
        assert_eq!(counts[11..], [(18, 0), (19, 0)]);
        assert_eq!(file.partly, [2, 7]);
        let functions: Vec<_> = file.functions.iter().map(|(line, name, count)| (*line, &name[..], *count)).collect();
        assert_eq!(functions, [(2, "unused", 0), (6, "transformEvent", 2), (18, "never", 0)]);
        assert_eq!(ranges(&file.uncovered(), &file.lines), "3, 9, 12, 18-19");
    }

    #[test]
    fn what_a_limit_ended_is_counted() {
        let code = "let n = 0;\nexport function transformEvent(event) {\n  n += 1;\n  while (event.loop);\n  return event;\n}\n";
        let file = covered(code, &[r#"{"loop":1}"#, "{}"]);
        // The module is evaluated again in the isolate that replaces the first one.
        assert_eq!(file.lines.values().copied().collect::<Vec<_>>()[..3], [2, 2, 2], "{file:?}");
    }

    #[test]
    fn lcov_has_unique_names_and_sums() {
        let text =
            lcov(&[covered("const f = [() => 1,\n  () => 2];\nexport const transformEvent = (e) => e;\n", &["{}"])]);
        assert!(text.contains("FN:1,f#1\nFN:2,f#2\nFN:3,transformEvent\n"), "{text}");
        assert!(text.contains("FNF:3\nFNH:1\nDA:1,1\nDA:2,0\nDA:3,1\nLF:3\nLH:2\nend_of_record\n"), "{text}");
    }
}
