//! The process that runs a query and writes its rows.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use adbc_core::options::{InfoCode, OptionConnection, OptionDatabase, OptionStatement, OptionValue};
use adbc_core::{Connection, Database, Driver, Optionable, Statement};
use adbc_driver_manager::{ManagedConnection, ManagedDriver};
use arrow_array::RecordBatchReader;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_schema::ArrowError;

use super::dialect::{Dialect, file_options, refused};
use super::load::load;
use super::rows::{BadColumns, RowWriter};
use super::subtree;
use super::watch::Watch;
use super::{ANSWER, Answer, Failure, Query, Request, Step};

/// The size of the pipe for rows, where the system allows it.
const PIPE: usize = 1 << 20;

/// Runs the process. Returns its exit code.
pub fn main() -> u8 {
    // SAFETY: the process that starts this one gives it a pipe at this descriptor, and nothing else here has it.
    let answer = unsafe { File::from_raw_fd(ANSWER) };
    // Processes that a driver starts must not inherit it.
    let _ = rustix::io::fcntl_setfd(&answer, rustix::io::FdFlags::CLOEXEC);
    subtree::take_in();
    let watch = Watch::new(answer);
    let started = started();
    let answer = started.map_err(|error| Failure::Output(error.to_string())).and_then(|(stdin, rows, request)| {
        // A driver may also hang while it is loaded.
        watch.start(stdin, Duration::from_millis(request.timeout_ms));
        let driver = load(&request.driver, request.entrypoint.as_deref())?;
        watch.loaded();
        let Some(query) = request.query else {
            return Ok(Answer::Loaded(driver.version().into()));
        };
        read(driver, &query, rows, &watch)
    });
    let failed = matches!(answer, Err(_) | Ok(Answer::Failed(_)));
    watch.answer(&answer.unwrap_or_else(Answer::Failed));
    watch.end();
    subtree::kill_below(rustix::process::getpid());
    u8::from(failed)
}

/// Returns standard input, the file for rows, and the request.
fn started() -> io::Result<(File, File, Request)> {
    let copy = |fd: rustix::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, ANSWER + 1).map(OwnedFd::into);
    let mut stdin: File = copy(rustix::stdio::stdin())?;
    let rows: File = copy(rustix::stdio::stdout())?;
    // What a driver prints must not end up among the rows.
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    let _ = rustix::pipe::fcntl_setpipe_size(&rows, PIPE);
    let (mut line, mut part) = (Vec::new(), [0; 4096]);
    while !line.ends_with(b"\n") {
        match stdin.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => line.extend_from_slice(&part[..n]),
        }
    }
    Ok((stdin, rows, serde_json::from_slice(&line)?))
}

/// Runs the query and writes its rows.
fn read(mut driver: ManagedDriver, query: &Query, mut to: File, watch: &Watch) -> Result<Answer, Failure> {
    let connect = |error: adbc_core::error::Error| Failure::Connect(error.message);
    let options = file_options(&query.database, &query.options)?;
    let of = |level| options.iter().filter(move |(key, _)| level_of(key) == level);
    let value = |value: &str| OptionValue::String(value.to_owned());
    let database = of(Level::Database).map(|(key, text)| (OptionDatabase::from(key.as_str()), value(text)));
    let database = driver.new_database_with_opts(database).map_err(connect)?;
    let connection = of(Level::Connection).map(|(key, text)| (OptionConnection::from(key.as_str()), value(text)));
    let mut connection = database.new_connection_with_opts(connection).map_err(connect)?;
    let (vendor, version) = vendor(&connection).unwrap_or_else(|| (query.database.clone(), String::new()));
    let dialect = Dialect::of(&vendor);

    for step in &query.steps {
        take(step, &mut connection, watch)?;
    }
    let prepared = dialect.prepare(&mut connection, &version, &query.sql, watch)?;
    let mut statement = connection.new_statement().map_err(refused)?;
    for (key, text) in of(Level::Statement) {
        statement.set_option(OptionStatement::from(key.as_str()), value(text)).map_err(refused)?;
    }
    watch.cancel_with(statement.get_cancel_handle());
    statement.set_sql_query(&prepared.sql).map_err(refused)?;
    let mut batches = statement.execute().map_err(refused)?;
    let schema = batches.schema();
    let mut writer = RowWriter::new(&schema, &query.json, prepared.tagged).map_err(|bad| match bad {
        BadColumns::Twice(name) => Failure::Twice(name),
        BadColumns::NoForm { column, kind } => Failure::NoForm { column, kind },
        BadColumns::NoJson(name) => Failure::NoJson(name),
    })?;
    let output = |error: io::Error| Failure::Output(error.to_string());
    let (mut count, mut out) = (0, Vec::new());
    let mut hand_on = |out: &mut Vec<u8>| {
        to.write_all(out)?;
        out.clear();
        Ok(())
    };
    for batch in &mut batches {
        let batch = batch.map_err(|error| Failure::Rows(words(error)))?;
        count += batch.num_rows() as u64;
        writer.batch(&batch, &mut out, &mut hand_on).map_err(output)?;
    }
    hand_on(&mut out).map_err(output)?;
    let columns = schema.fields().iter().map(|field| (field.name().clone(), field.data_type().is_nested())).collect();
    Ok(Answer::Done { rows: count, warnings: writer.warnings(), columns })
}

/// Runs a step before the query.
fn take(step: &Step, connection: &mut ManagedConnection, watch: &Watch) -> Result<(), Failure> {
    let mut statement = connection.new_statement().map_err(refused)?;
    watch.cancel_with(statement.get_cancel_handle());
    let (sql, expected) = match step {
        Step::Do(sql) => (sql, None),
        Step::Expect { sql, value } => (sql, Some(value)),
    };
    statement.set_sql_query(sql).map_err(refused)?;
    let Some(expected) = expected else { return statement.execute_update().map(drop).map_err(refused) };
    let mut found = Vec::new();
    for batch in statement.execute().map_err(refused)? {
        let batch = batch.map_err(|error| Failure::Rows(words(error)))?;
        let texts = batch.column(0).as_string_opt::<i32>().ok_or(Failure::Changed)?;
        found.extend(texts.iter().map(|text| text.unwrap_or_default().to_owned()));
    }
    if found == [expected.as_str()] { Ok(()) } else { Err(Failure::Changed) }
}

/// What an option is set on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Database,
    Connection,
    Statement,
}

fn level_of(key: &str) -> Level {
    let is_statement =
        key.contains(".statement.") || key.starts_with("adbc.postgresql.") || key.starts_with("adbc.sqlite.query.");
    match key {
        _ if key.starts_with("adbc.connection.") => Level::Connection,
        _ if is_statement => Level::Statement,
        _ => Level::Database,
    }
}

/// Returns the message of an error of the stream, without the name of its kind.
fn words(error: ArrowError) -> String {
    match error {
        ArrowError::CDataInterface(text) => text,
        other => other.to_string(),
    }
}

/// Returns the name that the database reports, and its version.
fn vendor(connection: &ManagedConnection) -> Option<(String, String)> {
    let codes = [InfoCode::VendorName, InfoCode::VendorVersion];
    let mut infos = connection.get_info(Some(HashSet::from(codes))).ok()?;
    let batch = infos.next()?.ok()?;
    let names = batch.column(0).as_primitive_opt::<UInt32Type>()?;
    let values = batch.column(1).as_union_opt()?;
    let [name, version] = codes.map(|code| {
        let row = names.values().iter().position(|name| *name == u32::from(&code))?;
        let value = values.value(row);
        Some(value.as_string_opt::<i32>()?.iter().next()??.to_owned())
    });
    Some((name?, version.unwrap_or_default()))
}
