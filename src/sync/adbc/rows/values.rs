//! Writes the values of one column of a batch as JSON.

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{Array, ArrayRef, BinaryViewArray, OffsetSizeTrait};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

use super::kind::Kind;
use super::number;
use super::scalar;
use super::time;
use super::write::{Notes, Write, base64, boolean, json, null, quoted, string, tagged};

/// A column of a batch.
pub struct Values {
    nulls: Option<NullBuffer>,
    write: Write,
}

impl Values {
    /// Wraps an array. Returns `None` if its values can't be written, which `Kind::of` should have reported.
    pub fn new(kind: &Kind, array: &ArrayRef) -> Option<Self> {
        let write: Write = match kind {
            Kind::Plain => plain(array)?,
            Kind::Json | Kind::Digits | Kind::Tagged { .. } => text(kind, array)?,
            Kind::Bool8 => {
                let values = array.as_primitive_opt::<Int8Type>()?.values().clone();
                Box::new(move |row, out, _| boolean(out, values[row] != 0))
            }
            Kind::Uuid | Kind::Hugeint { .. } | Kind::TimeTz => fixed(kind, array)?,
            Kind::Bignum => slices(array, |bytes, out, _| number::bignum(out, bytes))?,
            Kind::Bits => slices(array, |bytes, out, _| quoted(out, |out| number::bits(out, bytes)))?,
            Kind::List(item) => list(item, array)?,
            Kind::Struct(fields) => structure(fields, array)?,
            Kind::Map(keys, values) => map(keys, values, array)?,
            Kind::Dictionary(values) => {
                let dictionary = array.as_any_dictionary_opt()?;
                if dictionary.values().is_empty() {
                    // All keys are null.
                    return Some(Self { nulls: array.nulls().cloned(), write: Box::new(|_, out, _| null(out)) });
                }
                let (keys, values) = (dictionary.normalized_keys(), Self::new(values, dictionary.values())?);
                Box::new(move |row, out, notes| values.write(keys[row], out, notes))
            }
            Kind::Union(kinds) => {
                let union = array.as_union_opt()?.clone();
                let members =
                    kinds.iter().map(|(number, kind)| Some((*number, Self::new(kind, union.child(*number))?)));
                let members: Vec<_> = members.collect::<Option<_>>()?;
                Box::new(move |row, out, notes| {
                    let number = union.type_id(row);
                    match members.iter().find(|(member, _)| *member == number) {
                        Some((_, values)) => values.write(union.value_offset(row), out, notes),
                        None => null(out),
                    }
                })
            }
        };
        Some(Self { nulls: array.nulls().cloned(), write })
    }

    /// Writes the value of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>, notes: &mut Notes) {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => null(out),
            _ => (self.write)(row, out, notes),
        }
    }
}

/// Returns the writer of texts and bytes; other values are left to `scalar`.
fn plain(array: &ArrayRef) -> Option<Write> {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => slices(array, |text, out, _| string(out, text)),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            slices(array, |bytes, out, _| base64(out, bytes))
        }
        _ => scalar::values(array),
    }
}

/// Returns the writer of texts that are JSON, numbers or tagged values.
fn text(kind: &Kind, array: &ArrayRef) -> Option<Write> {
    match kind {
        Kind::Json => slices(array, json_of),
        Kind::Tagged { json } => {
            let is_json = *json;
            slices(array, move |text, out, notes| tagged(out, text, is_json, notes))
        }
        _ => slices(array, |text, out, notes| match number::is_number(text) {
            true => out.extend_from_slice(text),
            false => {
                notes.not_finite += 1;
                null(out);
            }
        }),
    }
}

fn json_of(text: &[u8], out: &mut Vec<u8>, notes: &mut Notes) {
    json(out, text, notes);
}

/// Returns the writer of values with a fixed number of bytes.
fn fixed(kind: &Kind, array: &ArrayRef) -> Option<Write> {
    match kind {
        Kind::Uuid => slices(array, |bytes, out, _| match uuid::Uuid::from_slice(bytes) {
            Ok(uuid) => quoted(out, |out| {
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
            }),
            Err(_) => base64(out, bytes),
        }),
        Kind::TimeTz => slices(array, |bytes, out, _| {
            // The upper 40 bits are the microseconds since midnight; the lower 24 bits are 57 599 minus the seconds of
            // the zone's offset.
            let bits = bytes.try_into().map_or(0, u64::from_le_bytes);
            let offset = 57_599 - (bits & 0xff_ffff) as i64;
            quoted(out, |out| time::time_with_zone(out, (bits >> 24) as i64, offset));
        }),
        Kind::Hugeint { signed } => {
            let signed = *signed;
            slices(array, move |bytes, out, _| {
                let bytes = bytes.try_into().unwrap_or_default();
                let mut buffer = itoa::Buffer::new();
                let digits = match signed {
                    true => buffer.format(i128::from_le_bytes(bytes)),
                    false => buffer.format(u128::from_le_bytes(bytes)),
                };
                out.extend_from_slice(digits.as_bytes());
            })
        }
        _ => None,
    }
}

/// Returns the writer of bytes or texts in any layout. Texts are
/// read as bytes, because nothing proves that they are UTF-8.
fn slices(array: &ArrayRef, write: impl Fn(&[u8], &mut Vec<u8>, &mut Notes) + 'static) -> Option<Write> {
    fn parts<O: OffsetSizeTrait>(
        (offsets, data): (OffsetBuffer<O>, Buffer),
        write: impl Fn(&[u8], &mut Vec<u8>, &mut Notes) + 'static,
    ) -> Write {
        Box::new(move |row, out, notes| write(&data[offsets[row].as_usize()..offsets[row + 1].as_usize()], out, notes))
    }
    Some(match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string_opt::<i32>()?;
            parts((array.offsets().clone(), array.values().clone()), write)
        }
        DataType::LargeUtf8 => {
            let array = array.as_string_opt::<i64>()?;
            parts((array.offsets().clone(), array.values().clone()), write)
        }
        DataType::Binary => {
            let array = array.as_binary_opt::<i32>()?;
            parts((array.offsets().clone(), array.values().clone()), write)
        }
        DataType::LargeBinary => {
            let array = array.as_binary_opt::<i64>()?;
            parts((array.offsets().clone(), array.values().clone()), write)
        }
        DataType::Utf8View => {
            let (views, buffers, nulls) = array.as_string_view_opt()?.clone().into_parts();
            let array = BinaryViewArray::try_new(views, buffers, nulls).ok()?;
            Box::new(move |row, out, notes| write(array.value(row), out, notes))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view_opt()?.clone();
            Box::new(move |row, out, notes| write(array.value(row), out, notes))
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary_opt()?.clone();
            Box::new(move |row, out, notes| write(array.value(row), out, notes))
        }
        _ => return None,
    })
}

fn list(item: &Kind, array: &ArrayRef) -> Option<Write> {
    /// `range` returns the items of a row.
    fn items(values: Values, range: impl Fn(usize) -> std::ops::Range<usize> + 'static) -> Write {
        Box::new(move |row, out, notes| {
            out.push(b'[');
            for (index, item) in range(row).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                values.write(item, out, notes);
            }
            out.push(b']');
        })
    }
    Some(match array.data_type() {
        DataType::List(_) => {
            let array = array.as_list_opt::<i32>()?;
            let offsets = array.offsets().clone();
            items(Values::new(item, array.values())?, move |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        DataType::LargeList(_) => {
            let array = array.as_list_opt::<i64>()?;
            let offsets = array.offsets().clone();
            items(Values::new(item, array.values())?, move |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        DataType::ListView(_) => {
            let array = array.as_list_view_opt::<i32>()?;
            let (starts, sizes) = (array.offsets().clone(), array.sizes().clone());
            let range = move |row: usize| starts[row] as usize..(starts[row] + sizes[row]) as usize;
            items(Values::new(item, array.values())?, range)
        }
        DataType::LargeListView(_) => {
            let array = array.as_list_view_opt::<i64>()?;
            let (starts, sizes) = (array.offsets().clone(), array.sizes().clone());
            let range = move |row: usize| starts[row] as usize..(starts[row] + sizes[row]) as usize;
            items(Values::new(item, array.values())?, range)
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).ok()?;
            let array = array.as_fixed_size_list_opt()?;
            items(Values::new(item, array.values())?, move |row| row * size..(row + 1) * size)
        }
        _ => return None,
    })
}

fn structure(fields: &[(String, Kind)], array: &ArrayRef) -> Option<Write> {
    let array = array.as_struct_opt()?;
    let named = fields.iter().zip(array.columns()).map(|((name, kind), column)| {
        let mut head = Vec::new();
        string(&mut head, name.as_bytes());
        head.push(b':');
        Some((head, Values::new(kind, column)?))
    });
    let fields: Vec<_> = named.collect::<Option<_>>()?;
    Some(Box::new(move |row, out, notes| {
        out.push(b'{');
        for (index, (head, values)) in fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(head);
            values.write(row, out, notes);
        }
        out.push(b'}');
    }))
}

/// Returns the writer of maps, as objects. A key that is not a text is written as a text.
fn map(keys: &Kind, values: &Kind, array: &ArrayRef) -> Option<Write> {
    let array = array.as_map_opt()?;
    let (keys, values) = (Values::new(keys, array.keys())?, Values::new(values, array.values())?);
    let offsets = array.offsets().clone();
    Some(Box::new(move |row, out, notes| {
        out.push(b'{');
        for (index, entry) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let start = out.len();
            keys.write(entry, out, notes);
            if out[start] != b'"' {
                let key = out.split_off(start);
                string(out, &key);
            }
            out.push(b':');
            values.write(entry, out, notes);
        }
        out.push(b'}');
    }))
}
