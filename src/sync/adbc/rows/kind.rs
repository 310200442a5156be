//! What the values of a column are: their Arrow type, and what the driver says of it besides.

use arrow_schema::{DataType, Field};
use serde::Deserialize;

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What their Arrow type says: numbers, texts, times, bytes.
    Plain,
    /// A text that is JSON.
    Json,
    /// A text that is a number with all of its digits.
    Digits,
    /// A text or bytes, of a number that `typeof` and a letter stand before: see [`super::super::dialect`].
    Tagged {
        /// Whether a text is JSON.
        json: bool,
    },
    /// Bytes of a boolean, 0 or 1.
    Bool8,
    /// 16 bytes of a UUID.
    Uuid,
    /// 16 bytes of a whole number.
    Hugeint {
        /// Whether it has a sign.
        signed: bool,
    },
    /// 8 bytes of a time with a zone.
    TimeTz,
    /// Bytes of a whole number of any size.
    Bignum,
    /// Bytes of single bits.
    Bits,
    /// Lists of any form.
    List(Box<Kind>),
    /// Names and kinds of fields.
    Struct(Vec<(String, Kind)>),
    /// Keys and values.
    Map(Box<Kind>, Box<Kind>),
    /// Values that stand elsewhere once.
    Dictionary(Box<Kind>),
    /// Values of one of several kinds, each with its number.
    Union(Vec<(i8, Kind)>),
}

/// A type that has no form in JSON, as the database calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoForm(pub String);

/// What `arrow.opaque` says of a type.
#[derive(Deserialize)]
struct Opaque {
    type_name: String,
    vendor_name: String,
}

impl Kind {
    /// The kind of a column.
    ///
    /// # Errors
    /// When its values have no form in JSON.
    pub fn of(field: &Field) -> Result<Self, NoForm> {
        match field.metadata().get("ARROW:extension:name").map(String::as_str) {
            Some("arrow.opaque") => return Self::opaque(field),
            Some("arrow.json") => return Ok(Kind::Json),
            Some("arrow.uuid") if *field.data_type() == DataType::FixedSizeBinary(16) => return Ok(Kind::Uuid),
            Some("arrow.bool8") if *field.data_type() == DataType::Int8 => return Ok(Kind::Bool8),
            Some("arrow.parquet.variant") => return Err(NoForm("variant".to_owned())),
            _ => {}
        }
        Self::of_type(field.data_type())
    }

    fn of_type(data_type: &DataType) -> Result<Self, NoForm> {
        Ok(match data_type {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => Kind::List(Box::new(Self::of(item)?)),
            DataType::Struct(fields) => {
                let fields = fields.iter().map(|field| Ok((field.name().clone(), Self::of(field)?)));
                Kind::Struct(fields.collect::<Result<_, _>>()?)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => {
                    Kind::Map(Box::new(Self::of(&pair[0])?), Box::new(Self::of(&pair[1])?))
                }
                _ => return Err(NoForm(data_type.to_string())),
            },
            DataType::Dictionary(_, values) => Kind::Dictionary(Box::new(Self::of_type(values)?)),
            DataType::Union(fields, _) => {
                let fields = fields.iter().map(|(number, field)| Ok((number, Self::of(field)?)));
                Kind::Union(fields.collect::<Result<_, _>>()?)
            }
            DataType::RunEndEncoded(..) => return Err(NoForm(data_type.to_string())),
            _ => Kind::Plain,
        })
    }

    /// A type that Arrow does not know.
    fn opaque(field: &Field) -> Result<Self, NoForm> {
        let metadata = field.metadata().get("ARROW:extension:metadata").map_or("{}", String::as_str);
        let Ok(Opaque { type_name, vendor_name }) = serde_json::from_str(metadata) else {
            return Err(NoForm(field.data_type().to_string()));
        };
        Ok(match (vendor_name.as_str(), type_name.as_str(), field.data_type()) {
            ("DuckDB", "hugeint", DataType::FixedSizeBinary(16)) => Kind::Hugeint { signed: true },
            ("DuckDB", "uhugeint", DataType::FixedSizeBinary(16)) => Kind::Hugeint { signed: false },
            ("DuckDB", "time_tz", DataType::FixedSizeBinary(8)) => Kind::TimeTz,
            ("DuckDB", "bignum" | "varint", DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => {
                Kind::Bignum
            }
            ("DuckDB", "bit", DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => Kind::Bits,
            ("PostgreSQL" | "Redshift", "numeric", DataType::Utf8 | DataType::LargeUtf8) => Kind::Digits,
            (_, _, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Kind::Plain,
            _ => return Err(NoForm(type_name)),
        })
    }
}
