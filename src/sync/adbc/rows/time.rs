//! Writes days, times and intervals as ISO 8601, for all values
//! of databases, including years before Christ and after 9999.

use arrow_schema::TimeUnit;

const NANOS_A_SECOND: i64 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// The epoch of Postgres, the year 2000. The driver adds this to infinity too, and the sum wraps around.
const POSTGRES_EPOCH_DAYS: i32 = 10_957;
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Returns whether a day is infinity in DuckDB or Postgres.
pub fn is_infinite_day(days: i32) -> bool {
    let infinities = [i32::MAX, i32::MIN, -i32::MAX];
    infinities.contains(&days) || infinities.contains(&days.wrapping_sub(POSTGRES_EPOCH_DAYS))
}

/// Returns whether a point in time is infinity in DuckDB or Postgres.
pub fn is_infinite_time(value: i64) -> bool {
    let infinities = [i64::MAX, i64::MIN, -i64::MAX];
    infinities.contains(&value) || infinities.contains(&value.wrapping_sub(POSTGRES_EPOCH_MICROS))
}

/// Returns how many of a unit are a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => NANOS_A_SECOND,
    }
}

/// Splits a value into seconds, and the nanoseconds after them.
fn split(value: i64, unit: TimeUnit) -> (i64, i64) {
    let per = per_second(unit);
    (value.div_euclid(per), value.rem_euclid(per) * (NANOS_A_SECOND / per))
}

/// Writes `2026-01-02`, given the days since 1970.
pub fn day(out: &mut Vec<u8>, days: i64) {
    // The calendar repeats every 400 years, 146 097 days. Years are counted from March, so that leap days come last.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    if (0..=9999).contains(&year) {
        two(out, year / 100);
        two(out, year % 100);
    } else {
        // JavaScript's form of these years.
        out.extend_from_slice(format!("{year:+07}").as_bytes());
    }
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
}

/// Writes `03:04:05.5`, given the time since midnight.
pub fn time(out: &mut Vec<u8>, value: i64, unit: TimeUnit) {
    let (seconds, nanos) = split(value, unit);
    two(out, seconds / 3600);
    out.push(b':');
    two(out, seconds / 60 % 60);
    out.push(b':');
    two(out, seconds % 60);
    fraction(out, nanos);
}

/// Writes `2026-01-02T03:04:05`, and `+00:00` after it if it has a zone.
pub fn timestamp(out: &mut Vec<u8>, value: i64, unit: TimeUnit, has_zone: bool) {
    let (seconds, nanos) = split(value, unit);
    day(out, seconds.div_euclid(SECONDS_A_DAY));
    out.push(b'T');
    let seconds = seconds.rem_euclid(SECONDS_A_DAY);
    time(out, seconds, TimeUnit::Second);
    fraction(out, nanos);
    if has_zone {
        out.extend_from_slice(b"+00:00");
    }
}

/// Writes `03:04:05+01:00`: a time of day, and its offset from UTC in seconds.
pub fn time_with_zone(out: &mut Vec<u8>, micros: i64, offset: i64) {
    time(out, micros, TimeUnit::Microsecond);
    out.push(if offset < 0 { b'-' } else { b'+' });
    let offset = offset.abs();
    two(out, offset / 3600);
    out.push(b':');
    two(out, offset / 60 % 60);
    if offset % 60 != 0 {
        out.push(b':');
        two(out, offset % 60);
    }
}

/// Writes `P1Y2M3DT4H5M6.5S`; each negative part has its own sign.
pub fn interval(out: &mut Vec<u8>, months: i64, days: i64, nanos: i128) {
    let start = out.len();
    out.push(b'P');
    part(out, (months / 12).into(), b'Y');
    part(out, (months % 12).into(), b'M');
    part(out, days.into(), b'D');
    let second = i128::from(NANOS_A_SECOND);
    let (seconds, rest) = (nanos / second, nanos % second);
    if nanos != 0 {
        out.push(b'T');
        part(out, seconds / 3600, b'H');
        part(out, seconds / 60 % 60, b'M');
        if rest < 0 && seconds % 60 == 0 {
            out.push(b'-');
        }
        if seconds % 60 != 0 || rest != 0 {
            out.extend_from_slice(itoa::Buffer::new().format(seconds % 60).as_bytes());
            fraction(out, rest.abs() as i64);
            out.push(b'S');
        }
    }
    if out.len() == start + 1 {
        out.extend_from_slice(b"T0S");
    }
}

/// Writes a part of an interval, unless it is zero.
fn part(out: &mut Vec<u8>, value: i128, unit: u8) {
    if value != 0 {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        out.push(unit);
    }
}

/// Writes `.5`: nanoseconds without trailing zeros; nothing if they are zero.
fn fraction(out: &mut Vec<u8>, nanos: i64) {
    if nanos == 0 {
        return;
    }
    let digits = format!("{nanos:09}");
    out.push(b'.');
    out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
}

fn two(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::adbc::rows::text;

    #[test]
    fn days_are_those_of_the_calendar() {
        let mut of = jiff::civil::date(-9999, 1, 1);
        let epoch = jiff::civil::date(1970, 1, 1);
        while of < jiff::civil::date(9990, 1, 1) {
            let days = i64::from((of - epoch).get_days());
            assert_eq!(text(|out| day(out, days)), of.to_string());
            of = of.checked_add(jiff::Span::new().days(97)).unwrap();
        }
        assert_eq!(text(|out| day(out, 2_932_897)), "+010000-01-01");
    }

    #[test]
    fn points_in_time_have_the_digits_that_they_need() {
        let micros = |value, has_zone| text(|out| timestamp(out, value, TimeUnit::Microsecond, has_zone));
        assert_eq!(micros(1_767_323_045_000_000, true), "2026-01-02T03:04:05+00:00");
        assert_eq!(micros(1_767_323_045_120_000, false), "2026-01-02T03:04:05.12");
        assert_eq!(micros(-1, false), "1969-12-31T23:59:59.999999");
        assert_eq!(text(|out| timestamp(out, 1, TimeUnit::Nanosecond, false)), "1970-01-01T00:00:00.000000001");
        assert_eq!(text(|out| time(out, 86_400, TimeUnit::Second)), "24:00:00");
        assert_eq!(text(|out| time_with_zone(out, 11_045_100_000, 3600)), "03:04:05.1+01:00");
        assert_eq!(text(|out| time_with_zone(out, 0, -12_645)), "00:00:00-03:30:45");
    }

    #[test]
    fn infinity_is_known_by_what_it_wraps_to() {
        for days in [i32::MAX, -i32::MAX, -2_147_472_692, -2_147_472_691] {
            assert!(is_infinite_day(days), "{days}");
        }
        for micros in [i64::MAX, -i64::MAX, -9_222_425_352_054_775_809, -9_222_425_352_054_775_808] {
            assert!(is_infinite_time(micros), "{micros}");
        }
        assert!(!is_infinite_day(0) && !is_infinite_time(0) && !is_infinite_time(9_223_371_331_200_000_000));
    }

    #[test]
    fn an_interval_has_its_parts() {
        let of = |months, days, nanos| text(|out| interval(out, months, days, nanos));
        assert_eq!(of(14, -2, 3_500_000_000), "P1Y2M-2DT3.5S");
        assert_eq!(of(-1, 0, -500_000_000), "P-1MT-0.5S");
        assert_eq!(of(0, 0, 3_723_000_000_000), "PT1H2M3S");
        assert_eq!(of(0, 0, -61_250_000_000), "PT-1M-1.25S");
        assert_eq!(of(0, 0, 0), "PT0S");
    }
}
