//! Durations as people say them.

/// Three significant figures and a unit: `850 ns`, `12.3 µs`, `4.56 ms`, `1.23 s`, `2 m 05 s`, `3 h 07 m`.
pub(crate) fn human(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    if nanoseconds < 1_000 {
        return format!("{nanoseconds} ns");
    }
    // A value that would be rounded up to 1000 belongs to the next unit.
    for (unit, name) in [(1_000, "µs"), (1_000_000, "ms"), (SECOND, "s")] {
        let limit = if unit == SECOND {
            60 * SECOND - unit / 20
        } else {
            unit * 1000 - unit / 2
        };
        if nanoseconds < limit {
            return format!("{} {name}", figures(nanoseconds, unit));
        }
    }
    let seconds = nanoseconds / SECOND + u64::from(nanoseconds % SECOND >= SECOND / 2);
    if seconds < 3600 {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60)
    }
}

/// `value / unit` with three significant figures.
fn figures(value: u64, unit: u64) -> String {
    let rounded = |digits: u64| (value * digits + unit / 2) / unit;
    match (rounded(100), rounded(10)) {
        (hundredths, _) if hundredths < 1_000 => {
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
        }
        (_, tenths) if tenths < 1_000 => format!("{}.{}", tenths / 10, tenths % 10),
        _ => rounded(1).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        let table = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_995, "10.0 µs"),
            (12_345, "12.3 µs"),
            (123_456, "123 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (23_400_000, "23.4 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (1_234_000_000, "1.23 s"),
            (59_940_000_000, "59.9 s"),
            (59_950_000_000, "1 m 00 s"),
            (125_000_000_000, "2 m 05 s"),
            (3_600_000_000_000, "1 h 00 m"),
            (11_220_000_000_000, "3 h 07 m"),
        ];
        for (nanoseconds, expected) in table {
            assert_eq!(human(nanoseconds), expected, "{nanoseconds}");
        }
    }

    proptest! {
        #[test]
        fn any_value_has_a_short_text(nanoseconds in any::<u64>()) {
            prop_assert!(human(nanoseconds).len() <= 16);
        }
    }
}
