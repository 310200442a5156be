//! Restricts the files that the data of a test may name: files of its own project that are not hidden. Links and `..`
//! cannot lead out of it.

use std::path::{Component, Path, PathBuf};

/// Returns an error if `path`, which `file` names, is not in its project.
pub(super) fn check(file: &Path, path: &Path) -> Result<(), String> {
    // Reading a missing file reports the error.
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    let hidden = |part: Component<'_>| part.as_os_str().to_str().is_some_and(|name| name.starts_with('.'));
    let inside = |root: &PathBuf| real.strip_prefix(root).is_ok_and(|inner| !inner.components().any(hidden));
    if roots(file).iter().any(inside) {
        return Ok(());
    }
    Err(format!("{} is not a file of this project", path.display()))
}

/// Returns the folder of the file, the current folder, and the root of the project.
fn roots(file: &Path) -> Vec<PathBuf> {
    const MARKS: [&str; 3] = [".git", "sluicegate.toml", "package.json"];
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut roots: Vec<PathBuf> = [folder, Path::new(".")].iter().filter_map(|dir| dir.canonicalize().ok()).collect();
    let project = roots.first().and_then(|own| {
        own.ancestors().find(|dir| MARKS.iter().any(|mark| dir.join(mark).exists())).map(Path::to_owned)
    });
    roots.extend(project);
    roots
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_dots_do_not_lead_out_of_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir_all(project.join("tests/.hidden")).unwrap();
        fs::create_dir_all(dir.path().join("other")).unwrap();
        for name in ["project/package.json", "project/t.js", "project/tests/.hidden/x.json", "other/secret.json"] {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        symlink(dir.path().join("other"), project.join("tests/out")).unwrap();
        symlink("../t.js", project.join("tests/in.js")).unwrap();
        let file = project.join("tests/a.case.json");
        for fine in ["../t.js", "in.js", "not/there.json"] {
            check(&file, &project.join("tests").join(fine)).unwrap();
        }
        for refused in ["../../other/secret.json", "out/secret.json", ".hidden/x.json", "/etc/passwd"] {
            check(&file, &project.join("tests").join(refused)).expect_err(refused);
        }
    }
}
