//! The playground: a local page for writing a transformation, which shows its effect on an event immediately.
//!
//! Invariants: the code runs as in a run, in a sandboxed worker process with limits
//! ([`crate::workers::PreviewWorker`]) and never in this process, and the results are those of `sluicegate run`. Only
//! the page that was opened with the printed address can send requests (`guard`). Only modules and cases below the
//! project's folder are written (`files`).
//!
//! The page is in `js/play`, hand-written and embedded (`assets`), and loads nothing from other servers. Its addresses
//! are relative, so that [`router`] can be mounted under any path.
//!
//! The caller decides how a project's settings and libraries are found, see [`Project`].

mod api;
mod assets;
mod case;
mod files;
mod guard;
mod lineage;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::net::Policy;
use crate::workers::{PreviewWorker, Sandbox};
pub use guard::Token;
use sluicegate_engine::{LoadError, Options, Program};

/// The largest request, in bytes: it fits the files and an event of the default size limit.
const LARGEST_REQUEST: usize = 48 << 20;

/// The current files in the editor, saved or not.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Draft {
    /// The transformation's file, relative to the project.
    pub file: String,
    /// The texts of files that differ from those on disk, by path relative to the project.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

/// A draft, ready for the engine.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The transformation, named after its file, with its libraries.
    pub program: Program,
    /// The limits.
    pub options: Options,
    /// The network policy.
    pub network: Policy,
    /// The files of the libraries, by import name.
    pub paths: BTreeMap<String, PathBuf>,
}

/// An error, with its position if known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The message, one sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// V8's stack trace, for code that threw.
    pub stack: Option<String>,
    /// The file, relative to the project; `event` and `metadata` mean the typed text.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column in UTF-16 code units, from 1.
    pub column: Option<u32>,
    /// The column after the end of the error's range, if known.
    pub end_column: Option<u32>,
}

impl Problem {
    /// Creates an error without a position.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Converts the error of a program that does not load. Its file has the engine's name.
    fn from_load_error(error: LoadError) -> Self {
        let at = error.position;
        Self {
            message: error.message,
            help: error.help,
            stack: error.stack,
            end_column: at.as_ref().map(|at| error.end_column.max(at.column + 1)),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(|at| at.column),
            file: at.map(|at| at.file),
        }
    }
}

/// How a project's transformations run: settings, libraries, credentials. Read again for each run, because all of these
/// can be edited in between.
pub trait Project: Send + Sync {
    /// Returns the program and options of a draft.
    ///
    /// # Errors
    /// When a file is invalid.
    fn ready(&self, draft: &Draft) -> Result<Ready, Problem>;

    /// Returns the files of the libraries that a transformation in this file can import, by import name.
    ///
    /// # Errors
    /// When a file is invalid.
    fn libraries(&self, file: &str) -> Result<BTreeMap<String, PathBuf>, Problem>;

    /// Runs the project's tests as they are on disk, and writes nothing. The results are those of
    /// `test --reporter json`, with files relative to the project.
    ///
    /// # Errors
    /// When the tests cannot be run.
    fn test(&self) -> Result<String, Problem>;
}

/// A playground for one folder.
pub struct Playground {
    /// The folder, as a canonical path.
    dir: PathBuf,
    project: Box<dyn Project>,
    token: Token,
    preview: Mutex<PreviewWorker>,
    sandbox: Sandbox,
    /// Lineage and tests use all processors, so only one runs at a time.
    long_work: Arc<Mutex<()>>,
}

impl Playground {
    /// Creates a playground for `dir`, which must exist, with a new token for its page.
    ///
    /// # Errors
    /// When the folder cannot be found, or the system refuses random numbers or memory.
    pub fn new(dir: &std::path::Path, project: Box<dyn Project>, sandbox: Sandbox) -> io::Result<Self> {
        Ok(Self {
            dir: dir.canonicalize()?,
            project,
            token: Token::random()?,
            preview: Mutex::new(PreviewWorker::new(sandbox)?),
            sandbox,
            long_work: Arc::default(),
        })
    }

    /// Returns the text after `#` in the address of the page.
    pub fn token(&self) -> &Token {
        &self.token
    }
}

/// Returns all routes of the playground, below a path such as `/play` (empty for the root), to be merged into a
/// server's other routes. Its page is at `PATH/#TOKEN`. Whatever address the listener has, the playground rejects
/// connections from other machines, and requests whose `Host` is not the loopback. So the server must provide the
/// client's address in the extension [`axum::extract::ConnectInfo`].
pub fn router(playground: Playground, path: &str) -> Router {
    let playground = Arc::new(playground);
    let routes = assets::routes(path).merge(api::routes(&playground, path, ("lineage", post(lineage::measure))));
    routes.route_layer(axum::middleware::from_fn(guard::protect))
}

/// Serves the playground until `end` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    playground: Playground,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // A page that waits for a long run must not delay the end: dropping the runtime drops the requests in flight.
    let service = router(playground, "").into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service);
    tokio::select! {
        done = server.into_future() => done,
        () = end => Ok(()),
    }
}
