//! Finds drivers in the folders of ADBC's manifests, of Python's packages and of the system's libraries.

use std::env;
use std::path::{Path, PathBuf};

/// A database whose driver is known by name.
pub struct Known {
    /// Its name in the config.
    pub name: &'static str,
    /// Where to get its driver.
    pub get: &'static str,
}

/// Databases whose drivers are easy to get.
pub const KNOWN: &[Known] = &[
    Known { name: "duckdb", get: "pip install duckdb, or libduckdb from https://duckdb.org" },
    Known { name: "postgresql", get: "pip install adbc-driver-postgresql" },
    Known { name: "sqlite", get: "pip install adbc-driver-sqlite" },
    Known { name: "snowflake", get: "pip install adbc-driver-snowflake" },
    Known { name: "bigquery", get: "pip install adbc-driver-bigquery" },
    Known { name: "flightsql", get: "pip install adbc-driver-flightsql" },
];

/// Returns where to get the driver of a database.
pub fn where_to_get(database: &str) -> &'static str {
    let known = KNOWN.iter().find(|known| known.name == database);
    known.map_or("see https://arrow.apache.org/adbc for drivers and who makes them", |known| known.get)
}

/// Returns the entry point of a driver, if it does not follow from the name of the file.
pub fn usual_entrypoint(driver: &Path) -> Option<String> {
    let name = driver.file_name()?.to_str()?;
    let is_duckdb = ["libduckdb", "_duckdb.", "duckdb."].iter().any(|start| name.starts_with(start));
    (is_duckdb && !name.ends_with(".toml")).then(|| "duckdb_adbc_init".to_owned())
}

/// Returns all drivers of a database that are installed, the one
/// to use first. `name` is that of the database or of a driver.
pub fn find(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut take = |path: PathBuf| {
        if path.is_file() && !found.contains(&path) {
            found.push(path);
        }
    };
    let libraries = [format!("libadbc_driver_{name}.so"), format!("lib{name}.so")];
    for folder in manifest_folders() {
        // A name may have a dot: `duckdb-1.3`.
        take(folder.join(format!("{name}.toml")));
        libraries.iter().for_each(|library| take(folder.join(library)));
    }
    for folder in python_folders() {
        take(folder.join(format!("adbc_driver_{name}")).join(&libraries[0]));
        if name == "duckdb" {
            modules(&folder, "_duckdb.").into_iter().for_each(&mut take);
            modules(&folder.join("duckdb"), "duckdb.").into_iter().for_each(&mut take);
        }
    }
    for folder in library_folders() {
        libraries.iter().for_each(|library| take(folder.join(library)));
    }
    found
}

/// Returns all folders that are searched.
pub fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in manifest_folders().into_iter().chain(python_folders()).chain(library_folders()) {
        if folder.is_dir() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Returns the names and manifests of drivers that are not in [`KNOWN`].
pub fn other_manifests() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in manifest_folders() {
        for path in entries(&folder) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let is_manifest = path.extension().is_some_and(|extension| extension == "toml");
            if is_manifest && !KNOWN.iter().any(|known| known.name == name) {
                found.push((name, path));
            }
        }
    }
    found
}

fn paths_of(variable: &str) -> Vec<PathBuf> {
    env::var_os(variable).map(|paths| env::split_paths(&paths).collect()).unwrap_or_default()
}

/// Returns the roots of Python's environments: the active one,
/// those of the `python3` in PATH, the user's and the system's.
fn python_roots() -> Vec<PathBuf> {
    let mut roots = [paths_of("VIRTUAL_ENV"), paths_of("CONDA_PREFIX")].concat();
    let in_path = paths_of("PATH").into_iter().filter(|folder| folder.join("python3").exists());
    roots.extend(in_path.filter_map(|folder| Some(folder.parent()?.to_owned())));
    roots.extend(env::home_dir().map(|home| home.join(".local")));
    roots.extend(["/usr/local", "/usr"].map(PathBuf::from));
    roots
}

fn manifest_folders() -> Vec<PathBuf> {
    let mut folders = paths_of("ADBC_DRIVER_PATH");
    let environments = [paths_of("VIRTUAL_ENV"), paths_of("CONDA_PREFIX")].concat();
    folders.extend(environments.into_iter().map(|root| root.join("etc/adbc/drivers")));
    let own = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".config")));
    folders.extend(own.map(|own| own.join("adbc/drivers")));
    folders.push("/etc/adbc/drivers".into());
    folders
}

fn python_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for root in python_roots() {
        for version in entries(&root.join("lib")) {
            let is_python =
                version.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python3"));
            if is_python {
                folders.extend(["site-packages", "dist-packages"].map(|folder| version.join(folder)));
            }
        }
    }
    folders
}

fn library_folders() -> Vec<PathBuf> {
    let mut folders = paths_of("LD_LIBRARY_PATH");
    folders.extend(paths_of("CONDA_PREFIX").into_iter().map(|root| root.join("lib")));
    let machine = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    folders.extend(["/usr/local/lib", &machine, "/usr/lib64", "/usr/lib"].map(PathBuf::from));
    folders
}

/// Returns Python's native modules in a folder whose names start with `start`.
fn modules(folder: &Path, start: &str) -> Vec<PathBuf> {
    let is_module = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(start) && name.ends_with(".so")
    };
    entries(folder).into_iter().filter(is_module).collect()
}

/// Returns the entries of a folder, sorted by name; nothing if it does not exist.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
