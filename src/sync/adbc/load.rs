//! Loads a driver.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use adbc_core::error::Status;
use adbc_core::options::AdbcVersion;
use adbc_core::{LOAD_FLAG_ALLOW_RELATIVE_PATHS, error};
use adbc_driver_manager::ManagedDriver;
use adbc_driver_manager::search::DriverLibrary;

use super::Failure;
use super::drivers;

/// Loads the driver at a path, which may be the path of its manifest.
pub(super) fn load(path: &Path, entrypoint: Option<&str>) -> Result<ManagedDriver, Failure> {
    let usual = drivers::usual_entrypoint(path);
    let entrypoint = entrypoint.or(usual.as_deref()).map(str::as_bytes);
    python(path)?;
    let shown = path.display();
    let library = DriverLibrary::search(path, LOAD_FLAG_ALLOW_RELATIVE_PATHS, None)
        .map_err(|error| Failure::Library(format!("{shown}: {}", reason(&error, path))))?;
    let function = library.resolve_entrypoint(entrypoint).into_owned();
    if DriverLibrary::try_from_dynamic_library(&library.library, &function).is_err() {
        let function = String::from_utf8_lossy(&function);
        let usual = if function == "AdbcDriverInit" { "" } else { " and no AdbcDriverInit" };
        return Err(Failure::NoDriver(format!("{shown} is no ADBC driver: it has no function {function}{usual}")));
    }
    let open =
        |version| ManagedDriver::load_from_name(path, Some(&function), version, LOAD_FLAG_ALLOW_RELATIVE_PATHS, None);
    // A driver of ADBC 1.0 can't cancel a query, but its process can still be ended.
    match open(AdbcVersion::V110) {
        Err(error) if error.status == Status::NotImplemented => open(AdbcVersion::V100),
        other => other,
    }
    .map_err(|error| {
        Failure::Old(format!("the driver {shown} speaks no version of ADBC that is known here: {}", error.message))
    })
}

/// Returns the message of the system's loader, without the path at its start.
fn reason(error: &error::Error, path: &Path) -> String {
    let text = super::sentence::sentence(&error.message);
    // The chain of errors repeats the path.
    match text.rsplit_once(&format!("{}: ", path.display())) {
        Some((_, reason)) => reason.trim_end_matches('"').to_owned(),
        None => text,
    }
}

/// A Python module expects Python's functions in the program that loads it. This program has none, so Python's own
/// library is loaded first. No function of it is called.
fn python(path: &Path) -> Result<(), Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // E.g. `_duckdb.cpython-311-x86_64-linux-gnu.so`.
    let Some((_, rest)) = name.split_once(".cpython-3") else { return Ok(()) };
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let library = format!("libpython3.{minor}.so.1.0");
    let mut places: Vec<OsString> = vec![library.clone().into()];
    let root = path.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "lib"));
    places.extend(root.map(|lib| lib.join(&library).into_os_string()));
    places.extend(root.and_then(Path::parent).and_then(home).map(|lib| lib.join(&library).into_os_string()));
    for place in places {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: the library's constructors run. It is the interpreter's own library, which sets nothing up before it
        // is asked to, and this process has been started to load such libraries.
        if let Ok(loaded) = unsafe { Library::open(Some(place), RTLD_NOW | RTLD_GLOBAL) } {
            // The library stays loaded.
            std::mem::forget(loaded);
            return Ok(());
        }
    }
    Err(Failure::Python(format!("{} is a module of Python 3.{minor}, and {library} is not there", path.display())))
}

/// Returns the library folder of the Python that a virtual environment uses.
fn home(environment: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(environment.join("pyvenv.cfg")).ok()?;
    let home = text.lines().find_map(|line| line.strip_prefix("home")?.trim_start().strip_prefix('='))?;
    Some(Path::new(home.trim()).parent()?.join("lib"))
}
