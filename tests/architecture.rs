//! Checks the dependencies between modules. Reads every path in the sources of the workspace, and fails on an arrow
//! that goes up or sideways, and on an import circle.
//!
//! - Between the folders of `src`, arrows go down the layers of [`LAYERS`].
//! - Inside a folder, and inside the two library crates, sibling files and folders form no circle.
//! - A module may use its own parents and children freely, and tests may use anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The folders and files of `src`, from the top down. A module may use modules of lower rows, but none of its own row
/// or above.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["play", "sync"],
    &["serve", "testing", "explore"],
    &["bench"],
    &["workers"],
    &["net", "wire", "parser_process"],
    &["config", "machine_memory", "own_process", "random", "root_cause", "sandbox", "tally"],
];

/// Known circles, as `crate: folder: modules`. This list only gets shorter.
const EXCEPTIONS: &[&str] = &[];

/// A module by its path in its crate; the root is empty.
type Module = Vec<String>;

/// All modules of a crate, with their files.
fn modules(base: &Path) -> BTreeMap<Module, PathBuf> {
    fn walk(folder: &Path, module: &Module, found: &mut BTreeMap<Module, PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(&path, &[module.as_slice(), &[name]].concat(), found);
            } else if path.extension().is_some_and(|ext| ext == "rs") && !["main", "tests"].contains(&name.as_str()) {
                let own =
                    if name == "mod" || name == "lib" { module.clone() } else { [module.as_slice(), &[name]].concat() };
                found.insert(own, path);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(base, &Vec::new(), &mut found);
    assert!(found.contains_key(&Vec::new()), "{} has no root", base.display());
    found
}

/// The paths of one file that start with `crate`, `super` or `self`, from the root of the crate.
struct Paths {
    module: Module,
    /// The number of open inline modules.
    depth: usize,
    found: BTreeSet<Module>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let start = match path.first().map(String::as_str) {
            Some("crate") => Some((0, 1)),
            Some("self") => Some((self.module.len(), 1)),
            // An inline module counts as one step.
            Some("super") if supers >= self.depth => {
                Some(((self.module.len() + self.depth).saturating_sub(supers), supers))
            }
            _ => None,
        };
        if let Some((keep, skip)) = start {
            self.found.insert([&self.module[..keep.min(self.module.len())], &path[skip..]].concat());
        }
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&[before, &[path.ident.to_string()]].concat(), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
            syn::UseTree::Name(name) => self.add(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.add(&[before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.add(before),
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let is_test = |attribute: &syn::Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            let inline = usize::from(module.content.is_some());
            self.depth += inline;
            syn::visit::visit_item_mod(self, module);
            self.depth -= inline;
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_for_tests(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(&segments);
        }
        syn::visit::visit_path(self, path);
    }
}

/// The modules of the same crate that a file uses.
fn used(file: &Path, module: &Module, all: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let source = syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut paths = Paths { module: module.clone(), depth: 0, found: BTreeSet::new() };
    paths.visit_file(&source);
    let longest =
        |path: &Module| (0..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| all.contains_key(path));
    paths.found.iter().filter_map(longest).filter(|to| !module.starts_with(to) && !to.starts_with(module)).collect()
}

/// Arrows between siblings, by their folder. Each names the files that it comes from.
type Arrows = BTreeMap<Module, BTreeMap<(String, String), Vec<String>>>;

fn arrows(base: &Path) -> Arrows {
    let all = modules(base);
    let mut arrows = Arrows::new();
    for (module, file) in &all {
        for to in used(file, module, &all) {
            let common = module.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let pair = (module[common].clone(), to[common].clone());
            let example = format!("{} uses {}", file.display(), to.join("::"));
            arrows.entry(module[..common].to_vec()).or_default().entry(pair).or_default().push(example);
        }
    }
    arrows
}

/// Groups of two or more modules that reach each other.
fn circles(arrows: &BTreeMap<(String, String), Vec<String>>) -> BTreeSet<Vec<String>> {
    let reach = |from: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = open.pop() {
            for (_, to) in arrows.keys().filter(|(from, _)| *from == at) {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let nodes: BTreeSet<&String> = arrows.keys().flat_map(|(a, b)| [a, b]).collect();
    let reached: BTreeMap<&String, BTreeSet<String>> = nodes.iter().map(|node| (*node, reach(node))).collect();
    nodes
        .iter()
        .filter(|node| reached[**node].contains(**node))
        .map(|node| reached[*node].iter().filter(|other| reached[*other].contains(*node)).cloned().collect())
        .collect()
}

#[test]
fn no_import_circle() {
    let mut found = Vec::new();
    let mut shown = String::new();
    for (name, base) in [("json", "crates/json/src"), ("engine", "crates/engine/src"), ("sluicegate", "src")] {
        for (folder, arrows) in arrows(Path::new(base)) {
            for circle in circles(&arrows) {
                let line = format!("{name}: {}: {}", folder.join("/"), circle.join(" "));
                for ((from, to), examples) in &arrows {
                    if circle.contains(from) && circle.contains(to) && !EXCEPTIONS.contains(&line.as_str()) {
                        shown += &format!("  {from} -> {to}: {}\n", examples.join(", "));
                    }
                }
                found.push(line);
            }
        }
    }
    let new: Vec<&String> = found.iter().filter(|line| !EXCEPTIONS.contains(&line.as_str())).collect();
    assert!(new.is_empty(), "import circles; move what both sides need into a module below them:\n{new:#?}\n{shown}");
    let gone: Vec<&&str> = EXCEPTIONS.iter().filter(|line| !found.iter().any(|found| found == *line)).collect();
    assert!(gone.is_empty(), "these circles are gone; take them off the list: {gone:#?}");
}

#[test]
fn arrows_go_down_the_layers() {
    let layer = |name: &str| LAYERS.iter().position(|row| row.contains(&name));
    let mut wrong = String::new();
    let top = arrows(Path::new("src")).remove(&Vec::new()).unwrap_or_default();
    for ((from, to), examples) in top {
        match (layer(&from), layer(&to)) {
            (Some(above), Some(below)) if above < below => {}
            (Some(_), Some(_)) => wrong += &format!("{from} -> {to} goes up or sideways: {}\n", examples.join(", ")),
            _ => wrong += &format!("{from} or {to} is in no layer; add it to LAYERS\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
