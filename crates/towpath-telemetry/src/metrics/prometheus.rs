//! Figures as Prometheus reads them: the text exposition format, version 0.0.4.

use std::fmt::{self, Display, Write};

use super::{Family, Sample, Value};

/// The content type of what [`prometheus`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes figures in the text format of Prometheus.
///
/// The same figures make the same text. Families without figures are left out.
pub fn prometheus(families: &[Family]) -> String {
    Text(families).to_string()
}

struct Text<'a>(&'a [Family]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut families = self.0.iter().filter(|family| !family.samples.is_empty());
        families.try_for_each(|family| write_family(f, family))
    }
}

fn write_family(f: &mut fmt::Formatter<'_>, family: &Family) -> fmt::Result {
    let name = family.metric.prometheus_name();
    let help = Escaped {
        text: family.metric.help,
        quoted: false,
    };
    writeln!(f, "# HELP {name} {help}")?;
    writeln!(f, "# TYPE {name} {}", family.metric.kind.prometheus_type())?;
    let mut samples = family.samples.iter();
    samples.try_for_each(|sample| write_sample(f, &name, sample))
}

fn write_sample(f: &mut fmt::Formatter<'_>, name: &str, sample: &Sample) -> fmt::Result {
    let labels = Labels {
        of: sample,
        bound: None,
    };
    match &sample.value {
        Value::Count(count) => writeln!(f, "{name}{labels} {count}"),
        Value::Number(number) => writeln!(f, "{name}{labels} {}", Number(*number)),
        Value::Distribution {
            bounds,
            cumulative,
            sum,
            count,
        } => {
            let infinite = (&f64::INFINITY, count);
            for (bound, below) in bounds.iter().zip(cumulative).chain([infinite]) {
                let labels = Labels {
                    of: sample,
                    bound: Some(*bound),
                };
                writeln!(f, "{name}_bucket{labels} {below}")?;
            }
            writeln!(f, "{name}_sum{labels} {}", Number(*sum))?;
            writeln!(f, "{name}_count{labels} {count}")
        }
    }
}

/// The labels of a sample; of a bucket, with its end.
struct Labels<'a> {
    of: &'a Sample,
    bound: Option<f64>,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '{';
        for (name, value) in &self.of.labels {
            write!(
                f,
                "{before}{name}=\"{}\"",
                Escaped {
                    text: value,
                    quoted: true
                }
            )?;
            before = ',';
        }
        if let Some(bound) = self.bound {
            write!(f, "{before}le=\"{}\"", Number(bound))?;
            before = ',';
        }
        if before == ',' {
            f.write_char('}')
        } else {
            Ok(())
        }
    }
}

/// A number in Go's spelling, which Prometheus reads.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() {
            f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" })
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Text without line ends; where it is quoted, without quotes too.
struct Escaped<'a> {
    text: &'a str,
    quoted: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|c| match c {
            '\\' => f.write_str(r"\\"),
            '\n' => f.write_str(r"\n"),
            '"' if self.quoted => f.write_str("\\\""),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests;
