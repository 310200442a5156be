//! Writes values that are a number, a boolean or a time.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::number::decimal;
use super::time;
use super::write::{Notes, Write, boolean, float, null, quoted};

/// Returns the writer of an array's values; `None` if they are of another kind.
pub fn values(array: &ArrayRef) -> Option<Write> {
    match array.data_type() {
        DataType::Null => Some(Box::new(|_, out, _| null(out))),
        DataType::Boolean => {
            let values = array.as_boolean_opt()?.values().clone();
            Some(Box::new(move |row, out, _| boolean(out, values.value(row))))
        }
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Float16 => each::<Float16Type>(array, |value, out, notes| {
            float(out, value.to_f32(), value.is_finite(), notes);
        }),
        DataType::Float32 => {
            each::<Float32Type>(array, |value, out, notes| float(out, value, value.is_finite(), notes))
        }
        DataType::Float64 => {
            each::<Float64Type>(array, |value, out, notes| float(out, value, value.is_finite(), notes))
        }
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            each::<Decimal256Type>(array, move |value, out, _| decimal(out, &value.to_string(), scale))
        }
        _ => times(array),
    }
}

fn times(array: &ArrayRef) -> Option<Write> {
    match array.data_type() {
        DataType::Date32 => each::<Date32Type>(array, |days, out, notes| match time::is_infinite_day(days) {
            true => infinite(out, notes),
            false => quoted(out, |out| time::day(out, days.into())),
        }),
        DataType::Date64 => each::<Date64Type>(array, |millis, out, notes| match time::is_infinite_time(millis) {
            true => infinite(out, notes),
            false => quoted(out, |out| time::day(out, millis.div_euclid(86_400_000))),
        }),
        DataType::Time32(TimeUnit::Second) => clock::<Time32SecondType>(array, TimeUnit::Second),
        DataType::Time32(_) => clock::<Time32MillisecondType>(array, TimeUnit::Millisecond),
        DataType::Time64(TimeUnit::Nanosecond) => clock::<Time64NanosecondType>(array, TimeUnit::Nanosecond),
        DataType::Time64(_) => clock::<Time64MicrosecondType>(array, TimeUnit::Microsecond),
        DataType::Timestamp(unit, zone) => {
            let (unit, has_zone) = (*unit, zone.is_some());
            match unit {
                TimeUnit::Second => points::<TimestampSecondType>(array, unit, has_zone),
                TimeUnit::Millisecond => points::<TimestampMillisecondType>(array, unit, has_zone),
                TimeUnit::Microsecond => points::<TimestampMicrosecondType>(array, unit, has_zone),
                TimeUnit::Nanosecond => points::<TimestampNanosecondType>(array, unit, has_zone),
            }
        }
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => durations::<DurationSecondType>(array, *unit),
            TimeUnit::Millisecond => durations::<DurationMillisecondType>(array, *unit),
            TimeUnit::Microsecond => durations::<DurationMicrosecondType>(array, *unit),
            TimeUnit::Nanosecond => durations::<DurationNanosecondType>(array, *unit),
        },
        DataType::Interval(IntervalUnit::YearMonth) => each::<IntervalYearMonthType>(array, |months, out, _| {
            quoted(out, |out| time::interval(out, months.into(), 0, 0));
        }),
        DataType::Interval(IntervalUnit::DayTime) => each::<IntervalDayTimeType>(array, |value, out, _| {
            let nanos = i128::from(value.milliseconds) * 1_000_000;
            quoted(out, |out| time::interval(out, 0, value.days.into(), nanos));
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => each::<IntervalMonthDayNanoType>(array, |value, out, _| {
            let nanos = value.nanoseconds.into();
            quoted(out, |out| time::interval(out, value.months.into(), value.days.into(), nanos));
        }),
        _ => None,
    }
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    write: impl Fn(T::Native, &mut Vec<u8>, &mut Notes) + 'static,
) -> Option<Write> {
    let values = array.as_primitive_opt::<T>()?.values().clone();
    Some(Box::new(move |row, out, notes| write(values[row], out, notes)))
}

fn integers<T: ArrowPrimitiveType<Native: itoa::Integer>>(array: &ArrayRef) -> Option<Write> {
    each::<T>(array, |value, out, _| out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()))
}

fn decimals<T: ArrowPrimitiveType<Native: itoa::Integer>>(array: &ArrayRef, scale: i8) -> Option<Write> {
    each::<T>(array, move |value, out, _| decimal(out, itoa::Buffer::new().format(value), scale))
}

fn clock<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef, unit: TimeUnit) -> Option<Write> {
    each::<T>(array, move |value, out, _| quoted(out, |out| time::time(out, value.into(), unit)))
}

fn points<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: TimeUnit, has_zone: bool) -> Option<Write> {
    each::<T>(array, move |value, out, notes| match time::is_infinite_time(value) {
        true => infinite(out, notes),
        false => quoted(out, |out| time::timestamp(out, value, unit, has_zone)),
    })
}

fn durations<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef, unit: TimeUnit) -> Option<Write> {
    let nanos = i128::from(1_000_000_000 / time::per_second(unit));
    each::<T>(array, move |value, out, _| quoted(out, |out| time::interval(out, 0, 0, i128::from(value) * nanos)))
}

fn infinite(out: &mut Vec<u8>, notes: &mut Notes) {
    notes.infinite_times += 1;
    null(out);
}
