//! The kind of a column's values: their Arrow type, and what else the driver says about it.

use arrow_schema::{DataType, Field};
use serde::Deserialize;

/// The kind of a column's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Values that their Arrow type describes: numbers, texts, times, bytes.
    Plain,
    /// A text that is JSON.
    Json,
    /// A text that is a number with all its digits.
    Digits,
    /// A text whose first letter tells the type of the value: see [`super::super::dialect`].
    Tagged {
        /// Whether a text is JSON.
        json: bool,
    },
    /// A boolean as a byte, 0 or 1.
    Bool8,
    /// A UUID as 16 bytes.
    Uuid,
    /// A whole number as 16 bytes.
    Hugeint {
        /// Whether it has a sign.
        signed: bool,
    },
    /// A time with a zone, as 8 bytes.
    TimeTz,
    /// A whole number of any size, as bytes.
    Bignum,
    /// Single bits, as bytes.
    Bits,
    /// A list of any layout, with the kind of its items.
    List(Box<Kind>),
    /// A struct, with the names and kinds of its fields.
    Struct(Vec<(String, Kind)>),
    /// A map, with the kinds of its keys and values.
    Map(Box<Kind>, Box<Kind>),
    /// Values that are stored once in a dictionary.
    Dictionary(Box<Kind>),
    /// Values of one of several kinds, each with its type id.
    Union(Vec<(i8, Kind)>),
}

/// A type that can't be written as JSON, by the database's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoForm(pub String);

/// The metadata of an `arrow.opaque` type.
#[derive(Deserialize)]
struct Opaque {
    type_name: String,
    vendor_name: String,
}

impl Kind {
    /// Returns the kind of a column.
    ///
    /// # Errors
    /// When its values can't be written as JSON.
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

    /// Returns the kind of a type that Arrow does not know.
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
