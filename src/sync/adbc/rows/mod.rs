//! Arrow batches as JSON lines: a row is an object with every column, null or not, in the order of the query.

mod kind;
mod number;
mod scalar;
mod time;
mod values;
mod write;

use std::io;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use kind::Kind;
use values::Values;
use write::{Notes, string};

pub use kind::NoForm;

/// How large what is written gets before it is handed on.
const FULL: usize = 256 << 10;

/// Why the columns of a query can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadColumns {
    /// Two have one name.
    Twice(String),
    /// A column has a type without a form in JSON.
    NoForm {
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// There is no column with this name, which the config says is JSON.
    NoJson(String),
}

/// A column: the text before its values, and what they are.
struct Column {
    name: String,
    head: Vec<u8>,
    kind: Kind,
    notes: Notes,
}

/// Writes rows.
pub struct RowWriter {
    columns: Vec<Column>,
}

impl RowWriter {
    /// For these columns. `json` names those whose texts are JSON; with `tagged`, all values say by a letter what they are.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn new(schema: &Schema, json: &[String], tagged: bool) -> Result<Self, BadColumns> {
        let mut columns: Vec<Column> = Vec::new();
        for field in schema.fields() {
            let name = field.name();
            if columns.iter().any(|column| column.name == *name) {
                return Err(BadColumns::Twice(name.clone()));
            }
            let is_json = json.contains(name);
            let kind = match (tagged, Kind::of(field)) {
                (true, _) => Kind::Tagged { json: is_json },
                (_, Ok(Kind::Plain)) if is_json && is_text(field.data_type()) => Kind::Json,
                (_, Ok(kind)) => kind,
                (_, Err(NoForm(kind))) => return Err(BadColumns::NoForm { column: name.clone(), kind }),
            };
            let mut head = vec![if columns.is_empty() { b'{' } else { b',' }];
            string(&mut head, name.as_bytes());
            head.push(b':');
            columns.push(Column { name: name.clone(), head, kind, notes: Notes::default() });
        }
        match json.iter().find(|name| !columns.iter().any(|column| column.name == **name)) {
            Some(missing) => Err(BadColumns::NoJson(missing.clone())),
            None => Ok(Self { columns }),
        }
    }

    /// Writes the rows of a batch, and hands on what is written whenever it is enough.
    ///
    /// # Errors
    /// When it can't be handed on, or when the batch has not the columns of the schema.
    pub fn batch(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        mut hand_on: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let values = self.columns.iter().zip(batch.columns()).map(|(column, array)| {
            let what =
                || io::Error::other(format!("the values of {} have another type than their column", column.name));
            Values::new(&column.kind, array).ok_or_else(what)
        });
        let values: Vec<Values> = values.collect::<io::Result<_>>()?;
        for row in 0..batch.num_rows() {
            for (column, values) in self.columns.iter_mut().zip(&values) {
                out.extend_from_slice(&column.head);
                values.write(row, out, &mut column.notes);
            }
            out.extend_from_slice(if values.is_empty() { b"{}\n" } else { b"}\n" });
            if out.len() >= FULL {
                hand_on(out)?;
            }
        }
        Ok(())
    }

    /// What could not be written as it is: a sentence for each column.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for Column { name, notes, .. } in &self.columns {
            let Notes { not_finite, infinite_times, not_json } = *notes;
            let of = |count: u64, one: &str, many: &str| match count {
                1 => format!("column {name}: 1 value {one}"),
                _ => format!("column {name}: {count} values {many}"),
            };
            if not_finite > 0 {
                warnings.push(of(not_finite, "is NaN or infinity, and null now", "are NaN or infinity, and null now"));
            }
            if infinite_times > 0 {
                warnings.push(of(infinite_times, "is infinity, and null now", "are infinity, and null now"));
            }
            if not_json > 0 {
                warnings.push(of(not_json, "is no JSON, and stays a text", "are no JSON, and stay texts"));
            }
        }
        warnings
    }
}

fn is_text(data_type: &arrow_schema::DataType) -> bool {
    use arrow_schema::DataType::{LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View)
}
