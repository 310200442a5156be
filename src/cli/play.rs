//! `sluicegate play`: serves the playground of a folder on loopback until a signal ends it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Global, PlayArgs};
use super::config;
use super::diagnostic::Diagnostic;
use super::program::{self, Sources, plain};
use super::setting_sources::{Env, merged_settings, with_config_of};
use super::settings::Settings;
use crate::net::Policy;
use crate::parser_process;
use crate::play::{self, Draft, Playground, Problem, Ready};
use crate::tally::exit;
use crate::workers::Sandbox;
use sluicegate_engine::{Options, is_typescript};

/// Serves the playground; returns the exit code.
///
/// # Errors
/// When the folder or the port cannot be used.
pub fn play(args: &PlayArgs, global: &Global) -> anyhow::Result<u8> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let sandbox = config::play(global, &dir, Env::here())?;
    let playground = playground(&dir, SettingsOrigin::Project(Box::new(global.clone())), sandbox)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let served = runtime.block_on(async {
        let port = args.port.unwrap_or(0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
            let help = "name another one with --port, or leave it out for any that is free";
            Diagnostic::new(format!("cannot listen on 127.0.0.1:{port}: {}", plain(&error))).help(help)
        })?;
        // Installed before the address is printed: its reader may send a signal at once.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let address = listener.local_addr()?;
        let address = format!("http://{address}/#{}", playground.token().as_str());
        super::print(format!("{address}\n").as_bytes())?;
        // Keeps the browser's file for as long as the playground runs.
        let _opened = args.open.then(|| opened(&address));
        let end = async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        play::serve(listener, playground, end).await.map_err(anyhow::Error::from)
    });
    // Shutdown does not wait for blocking tasks, one of which may be reading a file.
    runtime.shutdown_background();
    served.map(|()| exit::COMPLETE)
}

/// Opens the page in the user's browser. The address contains the token, and every user of this machine can read a
/// program's arguments. So the browser opens a file that redirects to the page and that only this user can read.
fn opened(address: &str) -> Option<NamedTempFile> {
    let open = || -> std::io::Result<NamedTempFile> {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let mut file = tempfile::Builder::new().prefix("sluicegate-").suffix(".html").tempfile_in(folder)?;
        write!(
            file,
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={address}\"><title>sluicegate play</title>"
        )?;
        let quiet = || Stdio::null();
        let mut browser =
            Command::new("xdg-open").arg(file.path()).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn()?;
        // Waits for the browser, so that it does not stay a zombie.
        std::thread::spawn(move || browser.wait());
        Ok(file)
    };
    open()
        .inspect_err(|error| {
            let _ = writeln!(
                std::io::stderr(),
                "cannot open a browser with xdg-open ({}); open the address above",
                plain(error)
            );
        })
        .ok()
}

/// The source of a playground's settings.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub(super) enum SettingsOrigin {
    /// Flags, environment and the folder's own `sluicegate.toml`, read again for each run of the code.
    Project(Box<Global>),
    /// The settings of a server; libraries come from the folder itself, as for its requests.
    Server(Settings),
}

/// Returns the playground of a folder, for `play` and for `serve --play`.
///
/// # Errors
/// When the folder does not exist.
pub(super) fn playground(dir: &Path, mut origin: SettingsOrigin, sandbox: Sandbox) -> anyhow::Result<Playground> {
    if let SettingsOrigin::Server(settings) = &mut origin {
        settings.libraries.library_dir = Some(vec![dir.to_owned()]);
        settings.libraries.library.clear();
    }
    let folder = Folder { dir: dir.canonicalize().unwrap_or_default(), shown: dir.to_owned(), origin };
    let made = Playground::new(dir, Box::new(folder), sandbox);
    Ok(made.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Diagnostic::new(format!("there is no folder {}", dir.display()))
            .help(format!("make it with `mkdir {}`, or leave it out for the current folder", dir.display())),
        _ => Diagnostic::new(format!("cannot open a playground in {}: {}", dir.display(), plain(&error))),
    })?)
}

/// A folder whose transformations run as with `sluicegate run`.
struct Folder {
    dir: PathBuf,
    shown: PathBuf,
    origin: SettingsOrigin,
}

impl Folder {
    fn sources(&self, file: &str) -> Result<(Sources, Options, Policy), Problem> {
        let path = self.shown.join(file);
        let settings = match &self.origin {
            SettingsOrigin::Project(global) => {
                let global = with_config_of(&self.shown, global);
                merged_settings(global.typed.clone(), &global, &path, Env::here())
                    .map_err(|error| self.problem(error))?
            }
            SettingsOrigin::Server(settings) => settings.clone(),
        };
        let options = Options { logs: true, ..config::options(&settings) };
        // The page must work whatever the files contain.
        let sources = config::sources(&path, &settings);
        Ok((sources, options, config::policy(&settings)))
    }

    fn problem(&self, error: Diagnostic) -> Problem {
        let place = error.place;
        let file = place.as_ref().map(|place| {
            let real = Path::new(&place.file).canonicalize().ok();
            let inside = real.as_deref().and_then(|real| real.strip_prefix(&self.dir).ok()?.to_str());
            inside.unwrap_or(&place.file).to_owned()
        });
        Problem {
            message: error.message,
            help: error.help,
            stack: None,
            file,
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.columns.start),
            end_column: place.as_ref().map(|place| place.columns.end),
        }
    }
}

impl play::Project for Folder {
    fn ready(&self, draft: &Draft) -> Result<Ready, Problem> {
        let (sources, options, network) = self.sources(&draft.file)?;
        let mut loaded = program::read_without_code(&sources).map_err(|error| self.problem(error))?;
        let text = |path: &str| match draft.texts.get(path) {
            Some(text) => javascript(path, text),
            None => {
                program::read_module(&self.shown.join(path), "the transformation").map_err(|error| self.problem(error))
            }
        };
        loaded.program.code = text(&draft.file)?;
        loaded.program.name.clone_from(&draft.file);
        for (handle, path) in &loaded.paths {
            let edited = path.canonicalize().ok().and_then(|real| {
                let path = real.strip_prefix(&self.dir).ok()?.to_str()?;
                Some((path.to_owned(), draft.texts.get(path)?))
            });
            if let Some((path, text)) = edited {
                loaded.program.libraries.insert(handle.clone(), javascript(&path, text)?);
            }
        }
        Ok(Ready { program: loaded.program, options, network, paths: loaded.paths })
    }

    fn test(&self) -> Result<String, Problem> {
        let global = match &self.origin {
            SettingsOrigin::Project(global) => with_config_of(&self.shown, global),
            SettingsOrigin::Server(settings) => Global { typed: settings.clone(), ..Global::default() },
        };
        super::test::results(&self.shown, &self.dir, &global).map_err(|error| {
            error.downcast().map_or_else(|error| Problem::new(error.to_string()), |found| self.problem(found))
        })
    }

    fn libraries(&self, file: &str) -> Result<BTreeMap<String, PathBuf>, Problem> {
        let (sources, ..) = self.sources(file)?;
        Ok(program::read_without_code(&sources).map_err(|error| self.problem(error))?.paths)
    }
}

/// Returns the text of a module as V8 gets it, without types.
fn javascript(path: &str, text: &str) -> Result<String, Problem> {
    if !is_typescript(Path::new(path)) {
        return Ok(text.to_owned());
    }
    parser_process::strip(text).map_err(|error| {
        let place = Diagnostic::new("").at(path, text, error.range).place;
        Problem {
            help: error.help.map(Into::into),
            file: Some(path.to_owned()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.columns.start),
            end_column: place.map(|place| place.columns.end),
            ..Problem::new(error.message)
        }
    })
}
