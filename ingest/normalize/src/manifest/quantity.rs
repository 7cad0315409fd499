//! Quantities of Kubernetes: `250m`, `1.5Gi`, `1e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// CPU in cores, rounded up to a thousandth as Kubernetes does; 0 when it is not a quantity.
#[expect(clippy::cast_possible_truncation, reason = "single precision is what the model holds")]
pub(super) fn cores(quantity: &Quantity) -> f32 {
    (units(&quantity.0, 1_000) / 1_000.0) as f32
}

/// Bytes in MiB, rounded up to a byte as Kubernetes does; 0 when it is not a quantity.
#[expect(clippy::cast_possible_truncation, reason = "single precision is what the model holds")]
pub(super) fn mebibytes(quantity: &Quantity) -> f32 {
    (units(&quantity.0, 1) / (1024.0 * 1024.0)) as f32
}

/// The quantity times `per_unit`, rounded up.
fn units(text: &str, per_unit: u32) -> f64 {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end).unwrap_or((text, ""));
    let (Ok(number), Some(factor)) = (number.parse::<f64>(), factor(suffix)) else { return 0.0 };
    let units = number * factor * f64::from(per_unit);
    // A tenth written in binary is not a tenth: what is within a billionth of a whole unit is that unit.
    let whole = units.round();
    if (units - whole).abs() <= whole.abs() * 1e-9 { whole } else { units.ceil() }
}

fn factor(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            10.0_f64.powi(exponent.clamp(-30, 30))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        let cores = |text: &str| cores(&Quantity(text.to_owned()));
        let mebibytes = |text: &str| mebibytes(&Quantity(text.to_owned()));
        for (text, expected) in
            [("250m", 0.25), ("1", 1.0), ("0.1", 0.1), ("1500u", 0.002), ("2e-1", 0.2), ("1k", 1000.0)]
        {
            assert_eq!(cores(text), expected, "{text}");
        }
        for (text, expected) in [
            ("128Mi", 128.0),
            ("1Gi", 1024.0),
            ("1048576", 1.0),
            ("1.5Gi", 1536.0),
            ("1M", 0.953_674_3),
            ("1e6", 0.953_674_3),
            ("many", 0.0),
            ("", 0.0),
            ("1e999999999999", 0.0),
            ("é", 0.0),
        ] {
            assert_eq!(mebibytes(text), expected, "{text}");
        }
    }
}
