//! Formats of numbers.

/// Three digits, with separated thousands: `0.830`, `41.7`, `5,200`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    let digits = (2 - size.log10().floor() as i32).clamp(0, 4) as usize;
    let text = format!("{value:.digits$}");
    if size < 999.5 {
        return text;
    }
    let step = 10f64.powi((size.log10().floor() as i32 - 2).max(0));
    thousands(((value / step).round() * step) as u64)
}

/// A number on an axis, without trailing zeros, with `k`, `M` and `G` for large ones.
pub(crate) fn tick(value: f64) -> String {
    if (1e3..1e4).contains(&value) {
        return count(value);
    }
    let scaled = [(1e9, "G"), (1e6, "M"), (1e3, "k")].into_iter().find(|(unit, _)| value >= *unit);
    match scaled {
        Some((unit, sign)) => format!("{}{sign}", plain(value / unit)),
        None => plain(value),
    }
}

/// A number of bytes on an axis.
pub(crate) fn bytes(value: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1.0, "B")];
    let (unit, name) = units.into_iter().find(|(unit, _)| value >= *unit).unwrap_or((1.0, "B"));
    format!("{} {name}", plain(value / unit))
}

/// A whole number, with separated thousands.
pub(crate) fn count(value: f64) -> String {
    thousands(value.round() as u64)
}

/// A number of connections.
pub(crate) fn connections(count: u32) -> String {
    match count {
        1 => "1 connection".into(),
        more => format!("{} connections", thousands(more.into())),
    }
}

/// A ratio.
pub(crate) fn times(value: f64) -> String {
    format!("{value:.2} ×")
}

fn plain(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.log10().floor() as i32).clamp(0, 6) };
    let text = format!("{value:.*}", digits as usize);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_has_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.0123, "0.0123"),
            (0.8349, "0.835"),
            (41.66, "41.7"),
            (999.4, "999"),
            (5_234.0, "5,230"),
            (1_234_567.0, "1,230,000"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn ticks_have_no_trailing_zeros() {
        assert_eq!(tick(20_000.0), "20k");
        assert_eq!(tick(5_000.0), "5,000");
        assert_eq!(tick(0.5), "0.5");
        assert_eq!(tick(0.0), "0");
        assert_eq!(tick(2_500_000.0), "2.5M");
        assert_eq!(bytes(1e6), "1 MB");
        assert_eq!(bytes(500.0), "500 B");
        assert_eq!(count(100_000.0), "100,000");
    }
}
