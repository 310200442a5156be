//! A state in the warehouse, `state = "warehouse"`: what was acknowledged is in tables beside the rows, so the
//! warehouse compares, and only changed rows are transferred.
//!
//! The file beside the config is the copy that one machine works with. It records every key that it changes. The rows
//! of these keys are written to the warehouse in transactions when the run ends, or, if the run is killed, when the
//! next one begins. The copy and the tables have a token, which changes with each such transaction. If the tokens
//! differ, another machine has run the sync since, and the copy is fetched again.
//!
//! A run that has begun is marked as open in the tables. Until it has ended, only the machine that ran it knows which
//! rows were being sent; another machine refuses to run the sync, except with `--resync`.

mod sql;

use super::adbc::Step;
use super::adbc::process::{self, Object, Script};
use super::adbc::query_end::{Reads, inner};
use super::config::{AdbcConfig, Config, Input};
use super::error::{Error, Result};
use super::state::State;
use super::state::copy::{self, CopiedRow};

use sql::{Column, literal, table};

/// The most keys that one transaction writes.
const MAX_KEYS: usize = 50_000;

/// The most rows of one `insert`.
const MAX_ROWS: usize = 5_000;

/// The temporary table for the keys that a transaction writes.
const CHANGED: &str = "sluicegate_changed_keys";

/// Settings for both databases, so that the text of a value is always the same.
const SETTINGS: [&str; 1] = ["set timezone = 'UTC'"];

/// More settings of this kind, for Postgres only.
const POSTGRES_SETTINGS: [&str; 5] = [
    "set datestyle = 'ISO'",
    "set intervalstyle = 'postgres'",
    "set bytea_output = 'hex'",
    "set extra_float_digits = 1",
    "set standard_conforming_strings = on",
];

/// The rows of the `meta` table of one sync.
struct Meta(Vec<(String, String)>);

impl Meta {
    fn of(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str())
    }
}

/// A state in the warehouse.
pub struct Warehouse<'a> {
    config: &'a Config,
    adbc: &'a AdbcConfig,
}

impl<'a> Warehouse<'a> {
    /// Returns `None` if the state is a file.
    pub fn of(config: &'a Config) -> Option<Self> {
        match &config.source.input {
            Input::Adbc(adbc) if config.in_warehouse => Some(Self { config, adbc }),
            _ => None,
        }
    }

    fn settings(&self) -> Vec<Step> {
        let more = if self.is_duckdb() { &[] } else { &POSTGRES_SETTINGS[..] };
        SETTINGS.iter().chain(more).map(|setting| Step::Do((*setting).to_owned())).collect()
    }

    /// Runs `steps`, then the query `sql`, and returns its rows and
    /// columns. All rows are kept in memory, so there must be few.
    fn ask(&self, steps: Vec<Step>, sql: String, writes: bool) -> Result<(Vec<Object>, Vec<Column>)> {
        let mut found = Vec::new();
        let steps = self.settings().into_iter().chain(steps).collect();
        let columns = process::ask(self.adbc, &self.config.dir, Script { steps, sql: Some(sql), writes }, |rows| {
            found.extend_from_slice(rows);
            Ok(())
        })?;
        Ok((found, columns))
    }

    /// Returns the query for the source, with the steps before it. It selects all rows with their hashes, or, with an
    /// epoch, only rows and keys that have changed since the sinks settled them.
    ///
    /// # Errors
    /// When the database cannot be asked for its columns.
    pub fn query(&self, epoch: Option<i64>) -> Result<Script> {
        let asked = inner(&self.adbc.query, Reads::Postgres);
        let (_, columns) = self.ask(Vec::new(), format!("select * from ({asked}\n) as q limit 0"), false)?;
        if self.is_duckdb() {
            self.each_has_its_name(asked, &columns)?;
        }
        if !columns.iter().any(|(column, _)| *column == self.config.source.key) {
            let names: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
            return Err(Error::new(format!("the query has no column {}, which is the key", self.config.source.key))
                .help(format!("its columns are {}", names.join(", "))));
        }
        let sql = match epoch {
            Some(epoch) => sql::compare(self.config, asked, &columns, epoch),
            None => sql::all(self.config, asked, &columns),
        };
        Ok(Script { steps: self.settings(), sql: Some(sql), writes: false })
    }

    /// DuckDB ignores case in names. In a query around another query, it renames the second of two columns whose names
    /// are equal or differ only in case. Returns an error if it would rename a column.
    fn each_has_its_name(&self, asked: &str, columns: &[Column]) -> Result<()> {
        let (rows, _) = self.ask(Vec::new(), format!("select column_name from (describe {asked}\n)"), false)?;
        let names: Vec<&str> = rows.iter().filter_map(|row| row["column_name"].as_str()).collect();
        let renamed = names.iter().zip(columns).position(|(name, (column, _))| name != column);
        let Some((at, second)) = renamed.map(|at| (at, names[at])) else { return Ok(()) };
        let first = names[..at].iter().find(|name| name.eq_ignore_ascii_case(second)).copied().unwrap_or(second);
        let message = match first == second {
            true => format!("the query has two columns called {second}"),
            false => format!(
                "the query has the columns {first} and {second}, which DuckDB can't tell apart where it compares rows (state = \"warehouse\")"
            ),
        };
        Err(Error::new(message).help(format!("give one of them another name: … as {second}_2")))
    }

    /// Begins a run: creates the tables, synchronizes the copy with them, and marks the run as open.
    ///
    /// # Errors
    /// When the database cannot be read or written, or the last run of another machine has not ended.
    pub fn begin(&self, resync: bool) -> Result<()> {
        let (name, meta) = (literal(&self.config.name), table("meta"));
        let token = literal(&uuid::Uuid::new_v4().to_string());
        let mut steps: Vec<Step> = sql::make_tables().into_iter().map(Step::Do).collect();
        steps.push(Step::Do(format!(
            "insert into {meta} select {name}, 'token', {token} where not exists (select 1 from {meta} where sync = {name})"
        )));
        let meta = self.meta(steps, true)?;
        if !self.is_current(&meta)? {
            let open = meta.of("open");
            if !open.is_empty() && !resync {
                return Err(Error::new(format!(
                    "the last run of this sync has not ended ({open}), and this machine does not know what was on its way; nothing was sent"
                ))
                .help("run the sync where that run was; if its state is lost, send all rows again with --resync"));
            }
            copy::remove(self.config)?;
            self.fetch(&meta)?;
        }
        let state = State::open(self.config)?;
        state.note_changes()?;
        self.push(&state, true)
    }

    /// Fetches a copy to `into` for a run that writes nothing, if
    /// the existing copy is not current. Returns whether it did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn look(&self, into: &Config) -> Result<bool> {
        let sql = "select table_name from information_schema.tables where table_schema = 'sluicegate_state' and table_name = 'meta'";
        let (tables, _) = self.ask(Vec::new(), sql.to_owned(), false)?;
        if tables.is_empty() {
            return Ok(false);
        }
        let meta = self.meta(Vec::new(), false)?;
        if self.is_current(&meta)? {
            return Ok(false);
        }
        Warehouse { config: into, adbc: self.adbc }.fetch(&meta)?;
        Ok(true)
    }

    fn meta(&self, steps: Vec<Step>, writes: bool) -> Result<Meta> {
        let sql = format!("select name, value from {} where sync = {}", table("meta"), literal(&self.config.name));
        let (rows, _) = self.ask(steps, sql, writes)?;
        let text = |row: &Object, column: &str| row[column].as_str().unwrap_or_default().to_owned();
        Ok(Meta(rows.iter().map(|row| (text(row, "name"), text(row, "value"))).collect()))
    }

    /// Returns whether the copy matches the tables, apart from changes of its own.
    fn is_current(&self, meta: &Meta) -> Result<bool> {
        if !self.config.state.exists() {
            return Ok(false);
        }
        let state = State::existing(self.config)?;
        let token = Some(meta.of("token").to_owned());
        // If the process was killed while it wrote, the tables have the next token exactly if the commit succeeded.
        if state.meta(copy::NEXT_TOKEN)? == token {
            state.set_meta(copy::TOKEN, meta.of("token"))?;
        }
        Ok(state.meta(copy::TOKEN)? == token)
    }

    /// Ends a run: writes its results to the warehouse.
    ///
    /// # Errors
    /// When the database cannot be written, or another machine has run the sync meanwhile. The copy keeps the changes.
    pub fn end(&self) -> Result<()> {
        let written = State::open(self.config).and_then(|state| self.push(&state, false));
        written.map_err(|error| {
            let message = format!("what was acknowledged is not in the warehouse yet: {}", error.message);
            Error { message, ..error }
                .help("the state beside the config has it; the next sync on this machine writes it first")
        })
    }

    /// Creates a copy from the tables.
    fn fetch(&self, meta: &Meta) -> Result<()> {
        let mut state = State::open(self.config)?;
        let name = literal(&self.config.name);
        for (table_name, _) in sql::TABLES.iter().filter(|(name, _)| *name != "meta") {
            let columns: Vec<&str> = sql::columns(table_name).into_iter().map(|(column, _)| column).collect();
            let sql = format!("select {} from {} where sync = {name}", columns.join(", "), table(table_name));
            let script = Script { steps: Vec::new(), sql: Some(sql), writes: false };
            process::ask(self.adbc, &self.config.dir, script, |rows| state.load(table_name, rows))?;
        }
        for (name, value) in meta.0.iter().filter(|(name, _)| !["token", "open"].contains(&name.as_str())) {
            state.set_meta(name, value)?;
        }
        state.set_meta(copy::TOKEN, meta.of("token"))
    }

    /// Writes the rows of all changed keys in several transactions;
    /// the last one also writes meta, the last runs and the open mark.
    fn push(&self, state: &State, is_open: bool) -> Result<()> {
        loop {
            let keys = state.changed_keys(MAX_KEYS)?;
            let is_last = keys.len() < MAX_KEYS;
            self.push_keys(state, &keys, is_last, is_open)?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn push_keys(&self, state: &State, keys: &[String], is_last: bool, is_open: bool) -> Result<()> {
        let name = literal(&self.config.name);
        let meta = table("meta");
        let old = state.meta(copy::TOKEN)?.unwrap_or_default();
        let new = uuid::Uuid::new_v4().to_string();
        let mut steps = vec![
            // The table is dropped when the connection closes.
            Step::Do(format!("create temporary table {CHANGED} (key text)")),
            Step::Do("begin".to_owned()),
            Step::Do(format!(
                "update {meta} set value = {} where sync = {name} and name = 'token' and value = {}",
                literal(&new),
                literal(&old)
            )),
            Step::Expect {
                sql: format!("select value from {meta} where sync = {name} and name = 'token'"),
                value: new.clone(),
            },
        ];
        // The keys are in a table so that they are compared once, however many there are.
        for some in keys.chunks(MAX_ROWS) {
            steps.push(Step::Do(sql::insert_keys(self.is_duckdb(), CHANGED, some)));
        }
        for (table_name, _) in &sql::TABLES[..3] {
            let table = table(table_name);
            steps.push(Step::Do(format!(
                "delete from {table} where sync = {name} and key in (select key from {CHANGED})"
            )));
            for some in keys.chunks(MAX_ROWS) {
                self.insert(&mut steps, table_name, &state.rows_of(table_name, some)?);
            }
        }
        if is_last {
            let invalid = table("invalid");
            steps.push(Step::Do(format!("delete from {invalid} where sync = {name}")));
            self.insert(&mut steps, "invalid", &state.rows_of("invalid", &[])?);
            let runs = state.rows_of("runs", &[])?;
            let ids = runs.iter().filter_map(|run| run[0].as_deref()).collect::<Vec<_>>().join(", ");
            if !ids.is_empty() {
                steps.push(Step::Do(format!("delete from {} where sync = {name} and id in ({ids})", table("runs"))));
            }
            self.insert(&mut steps, "runs", &runs);
            steps.push(Step::Do(format!("delete from {meta} where sync = {name} and name <> 'token'")));
            let mut rows = state.rows_of("meta", &[])?;
            if is_open {
                let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
                let mark = format!("{host}, {}", super::state::now());
                rows.push(vec![Some("open".to_owned()), Some(mark)]);
            }
            self.insert(&mut steps, "meta", &rows);
        }
        steps.push(Step::Do("commit".to_owned()));
        // The process may be killed between the commit and `forget_changes`.
        // The next token then shows that the commit was this copy's own.
        state.set_meta(copy::NEXT_TOKEN, &new)?;
        self.ask(steps, "select 1 as done".to_owned(), true)?;
        state.forget_changes(keys, &new)
    }

    fn insert(&self, steps: &mut Vec<Step>, table_name: &str, rows: &[CopiedRow]) {
        let rows = rows.chunks(MAX_ROWS).map(|some| sql::insert(self.is_duckdb(), table_name, &self.config.name, some));
        steps.extend(rows.map(Step::Do));
    }

    fn is_duckdb(&self) -> bool {
        self.adbc.database == "duckdb"
    }
}
