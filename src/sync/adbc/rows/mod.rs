//! Writes Arrow batches as JSON lines: a row is an object with every column, null or not, in the order of the query.

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

/// The number of bytes after which the output is passed on.
const FULL: usize = 256 << 10;

/// Why the columns of a query can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadColumns {
    /// Two columns have the same name.
    Twice(String),
    /// The type of a column can't be written as JSON.
    NoForm {
        /// The column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// A column that the config declares as JSON does not exist.
    NoJson(String),
}

/// A column: the text before its values, and their kind.
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
    /// Creates a writer for these columns. `json` names those whose texts are JSON. With `tagged`, the first letter of
    /// each value tells its type.
    ///
    /// # Errors
    /// When the columns can't be written.
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

    /// Writes the rows of a batch, and calls `hand_on` whenever the output is large enough.
    ///
    /// # Errors
    /// When `hand_on` fails, or when the batch does not have the columns of the schema.
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

    /// Returns a sentence for each column with values that could not be written unchanged.
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

/// Returns the output of `write` as text.
#[cfg(test)]
fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow_array::types::{Int8Type, Int32Type};
    use arrow_array::{
        Array, ArrayRef, BinaryViewArray, Date64Array, Decimal32Array, Decimal64Array, Decimal256Array,
        DictionaryArray, DurationMillisecondArray, FixedSizeBinaryArray, Float16Array, Int8Array, Int32Array,
        IntervalDayTimeArray, IntervalYearMonthArray, LargeBinaryArray, LargeListArray, LargeStringArray,
        ListViewArray, NullArray, StringArray, StringViewArray, Time32MillisecondArray, Time32SecondArray,
        Time64NanosecondArray, TimestampMillisecondArray, UInt64Array, UnionArray,
    };
    use arrow_buffer::{IntervalDayTime, OffsetBuffer, i256};
    use arrow_schema::{DataType, Field, Schema, UnionFields};

    use super::*;

    /// Returns the values of a column as they are written, and the warnings.
    fn written_as(field: Field, array: ArrayRef, json: &[String]) -> (Vec<String>, Vec<String>) {
        let schema = Arc::new(Schema::new(vec![field]));
        let mut writer = RowWriter::new(&schema, json, false).unwrap_or_else(|bad| panic!("{bad:?}"));
        let mut out = Vec::new();
        let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
        writer.batch(&batch, &mut out, |_| Ok(())).unwrap();
        let text = String::from_utf8(out).unwrap();
        let of = |line: &str| line.strip_prefix("{\"a\":").unwrap().strip_suffix('}').unwrap().to_owned();
        (text.lines().map(of).collect(), writer.warnings())
    }

    fn written(array: impl Array + 'static) -> Vec<String> {
        let field = Field::new("a", array.data_type().clone(), true);
        written_as(field, Arc::new(array), &[]).0
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(written(UInt64Array::from(vec![Some(u64::MAX), None])), ["18446744073709551615", "null"]);
        let of = |value: f32| half::f16::from_f32(value);
        assert_eq!(written(Float16Array::from(vec![of(1.5), of(f32::INFINITY)])), ["1.5", "null"]);
        let large = Decimal256Array::from(vec![i256::MAX, i256::MIN]).with_precision_and_scale(76, 10).unwrap();
        assert_eq!(
            written(large),
            [
                "5789604461865809771178549250434395392663499233282028201972879200395.6564819967",
                "-5789604461865809771178549250434395392663499233282028201972879200395.6564819968"
            ]
        );
        let small = Decimal32Array::from(vec![-5]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(written(small), ["-0.05"]);
        let tens = Decimal64Array::from(vec![12]).with_precision_and_scale(18, -2).unwrap();
        assert_eq!(written(tens), ["1200"]);
    }

    #[test]
    fn times_of_all_units_are_the_same_forms() {
        assert_eq!(written(Date64Array::from(vec![86_400_000, -1])), ["\"1970-01-02\"", "\"1969-12-31\""]);
        assert_eq!(written(Time32SecondArray::from(vec![3723])), ["\"01:02:03\""]);
        assert_eq!(written(Time32MillisecondArray::from(vec![3_723_500])), ["\"01:02:03.5\""]);
        assert_eq!(written(Time64NanosecondArray::from(vec![1])), ["\"00:00:00.000000001\""]);
        let zoned = TimestampMillisecondArray::from(vec![1]).with_timezone("Europe/Berlin");
        assert_eq!(written(zoned), ["\"1970-01-01T00:00:00.001+00:00\""]);
        assert_eq!(written(DurationMillisecondArray::from(vec![90_500])), ["\"PT1M30.5S\""]);
        assert_eq!(written(IntervalYearMonthArray::from(vec![25])), ["\"P2Y1M\""]);
        let day = IntervalDayTime { days: 1, milliseconds: -500 };
        assert_eq!(written(IntervalDayTimeArray::from(vec![day])), ["\"P1DT-0.5S\""]);
    }

    #[test]
    fn texts_and_bytes_of_all_layouts_are_the_same_forms() {
        let long = "a text that is too long to stand in its view \"";
        let form =
            format!("{}\\\"\"", serde_json::Value::from(&long[..long.len() - 1]).to_string().trim_end_matches('"'));
        assert_eq!(written(StringViewArray::from(vec![Some(long), None, Some("é")])), [&form, "null", "\"é\""]);
        assert_eq!(written(LargeStringArray::from(vec![long])), [form]);
        assert_eq!(written(LargeBinaryArray::from(vec![&[0xaa, 0][..]])), ["\"qgA=\""]);
        assert_eq!(written(BinaryViewArray::from(vec![&[0xaa, 0][..]])), ["\"qgA=\""]);
        assert_eq!(written(NullArray::new(2)), ["null", "null"]);
        let texts = StringArray::from(vec![Some("{\"b\":\n1}"), Some("{"), None]);
        let field = Field::new("a", DataType::Utf8, true);
        let (rows, warnings) = written_as(field, Arc::new(texts), &["a".to_owned()]);
        assert_eq!(rows, ["{\"b\": 1}", "\"{\"", "null"]);
        assert_eq!(warnings, ["column a: 1 value is no JSON, and stays a text"]);
    }

    #[test]
    fn what_is_nested_is_nested() {
        let items = vec![Some(vec![Some(1), None]), None, Some(vec![])];
        assert_eq!(
            written(LargeListArray::from_iter_primitive::<Int32Type, _, _>(items.clone())),
            ["[1,null]", "null", "[]"]
        );
        assert_eq!(written(ListViewArray::from_iter_primitive::<Int32Type, _, _>(items)), ["[1,null]", "null", "[]"]);
        let words: DictionaryArray<Int8Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
        assert_eq!(written(words), ["\"x\"", "null", "\"x\""]);
        let empty = DictionaryArray::<Int8Type>::new(Int8Array::new_null(1), Arc::new(StringArray::new_null(0)));
        assert_eq!(written(empty), ["null"]);
        let fields = [(0, Field::new("n", DataType::Int32, true)), (1, Field::new("t", DataType::Utf8, true))];
        let fields: UnionFields = fields.into_iter().map(|(number, field)| (number, Arc::new(field))).collect();
        let members: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![7])), Arc::new(StringArray::from(vec!["x"]))];
        let dense = UnionArray::try_new(fields, vec![1, 0].into(), Some(vec![0, 0].into()), members).unwrap();
        assert_eq!(written(dense), ["\"x\"", "7"]);
        // A slice of an array.
        let list = LargeListArray::new(
            Arc::new(Field::new("item", DataType::Int32, true)),
            OffsetBuffer::new(vec![0, 1, 3].into()),
            Arc::new(Int32Array::from(vec![1, 2, 3])),
            None,
        );
        assert_eq!(written(list.slice(1, 1)), ["[2,3]"]);
    }

    #[test]
    fn a_type_that_arrow_does_not_know_is_understood_or_refused() {
        let extension = |name: &str, metadata: &str, data_type: DataType| {
            Field::new("a", data_type, true).with_metadata(HashMap::from([
                ("ARROW:extension:name".to_owned(), name.to_owned()),
                ("ARROW:extension:metadata".to_owned(), metadata.to_owned()),
            ]))
        };
        let bytes = |bytes: &[u8]| Arc::new(FixedSizeBinaryArray::try_from_iter([bytes].into_iter()).unwrap());
        let hugeint = r#"{"type_name":"hugeint","vendor_name":"DuckDB"}"#;
        let field = extension("arrow.opaque", hugeint, DataType::FixedSizeBinary(16));
        assert_eq!(written_as(field, bytes(&i128::MIN.to_le_bytes()), &[]).0, [i128::MIN.to_string()]);
        let field = extension("geoarrow.wkb", "", DataType::FixedSizeBinary(2));
        assert_eq!(written_as(field, bytes(&[0xaa, 0]), &[]).0, ["\"qgA=\""]);
        for field in [
            extension("arrow.opaque", r#"{"type_name":"box","vendor_name":"PostgreSQL"}"#, DataType::Binary),
            extension("arrow.opaque", "no JSON", DataType::Binary),
            extension("arrow.parquet.variant", "", DataType::Binary),
        ] {
            let nested = Field::new("a", DataType::List(Arc::new(field.clone())), true);
            for field in [field, nested] {
                let refused = RowWriter::new(&Schema::new(vec![field]), &[], false).err();
                assert!(matches!(refused, Some(BadColumns::NoForm { .. })));
            }
        }
    }

    #[test]
    fn a_query_without_columns_has_rows() {
        let schema = Arc::new(Schema::empty());
        let mut writer = RowWriter::new(&schema, &[], false).unwrap_or_else(|bad| panic!("{bad:?}"));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(2));
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
        let mut out = Vec::new();
        writer.batch(&batch, &mut out, |_| Ok(())).unwrap();
        assert_eq!(out, b"{}\n{}\n");
    }
}
