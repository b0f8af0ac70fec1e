//! Traces as a picture: a row for each span, a bar for its time. The same traces give the same
//! picture, byte for byte.

use std::fmt::Write;

use super::scale;
use super::trace::{Row, Trace};

const WIDTH: u64 = 1_000;
const MARGIN: u64 = 16;
/// Where bars begin, and how much room they have.
const BARS: u64 = 210;
const BARS_WIDTH: u64 = WIDTH - MARGIN - BARS - 20;
const ROW: u64 = 22;
const BAR: u64 = 12;
/// The title of a trace, and its axis.
const HEAD: u64 = 52;
const INDENT: u64 = 14;
/// The narrowest bar that can be seen.
const NARROWEST: u64 = 2;
/// About how wide a letter of the details is, in tenths.
const LETTER: u64 = 62;

/// In the light, and in the dark: what is written, and the bars by the first words of names.
const STYLE: &str = "
text { font: 12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
.page { fill: #ffffff; } .odd { fill: #f6f8fa; } .grid { stroke: #d1d9e0; }
.title { font-size: 15px; font-weight: 600; } .soft { fill: #59636e; }
.link { stroke: #8250df; fill: none; stroke-width: 1.5; } .head { fill: #8250df; }
.failed { fill: #d1242f; } .mark { stroke: #d1242f; stroke-width: 1.5; fill: none; }
.source { fill: #0969da; } .queue { fill: #afb8c1; } .process { fill: #1a7f37; }
.attempt { fill: #57ab5a; } .wait { fill: #d4a72c; } .batch { fill: #8250df; }
.send { fill: #bf3989; } .create { fill: #e085b9; } .own { fill: #1b9e9e; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.page { fill: #0d1117; } .odd { fill: #161b22; } .grid { stroke: #30363d; }
.soft { fill: #9198a1; }
.link { stroke: #ab7df8; } .head { fill: #ab7df8; }
.failed { fill: #ff7b72; } .mark { stroke: #ff7b72; }
.source { fill: #4493f8; } .queue { fill: #656c76; } .process { fill: #2ea043; }
.attempt { fill: #7ce38b; } .wait { fill: #e3b341; } .batch { fill: #ab7df8; }
.send { fill: #db61a2; } .create { fill: #f2b3d6; } .own { fill: #39c5cf; }
}
";

/// One trace below the other.
pub(super) fn svg(traces: &[Trace]) -> String {
    let height = MARGIN + traces.iter().map(height_of).sum::<u64>();
    let names: Vec<_> = traces.iter().map(|trace| &*trace.title).collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Traces of {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n",
        escaped(&names.join(" and ")),
    );
    let mut top = MARGIN;
    for trace in traces {
        out.push_str(&Figure::of(trace, top).drawn());
        top += height_of(trace);
    }
    out.push_str("</svg>\n");
    out
}

/// One trace in its place.
#[derive(Debug)]
struct Figure<'a> {
    trace: &'a Trace,
    top: u64,
    out: String,
}

fn height_of(trace: &Trace) -> u64 {
    HEAD + ROW * count(&trace.rows) + MARGIN
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

// === impl Figure ===

impl<'a> Figure<'a> {
    fn of(trace: &'a Trace, top: u64) -> Self {
        let out = String::new();
        Self { trace, top, out }
    }

    fn drawn(mut self) -> String {
        let trace = self.trace;
        self.head();
        for (place, row) in (0..).zip(&trace.rows) {
            self.stripe(place);
            self.name(place, row);
        }
        self.axis();
        for (place, row) in (0..).zip(&trace.rows) {
            self.bar(place, row);
        }
        for (place, row) in (0..).zip(&trace.rows) {
            for link in &row.links {
                self.arrow(place, u64::try_from(*link).unwrap_or_default());
            }
        }
        self.out
    }

    fn head(&mut self) {
        let (trace, y) = (self.trace, self.top + 14);
        let (spans, length) = (trace.rows.len(), scale::words(trace.length()));
        self.put(format_args!(
            "<text class=\"title\" x=\"{MARGIN}\" y=\"{y}\">{}</text>",
            escaped(&trace.title)
        ));
        let right = WIDTH - MARGIN;
        self.put(format_args!(
            "<text class=\"soft\" x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{length}, {spans} spans</text>"
        ));
    }

    /// Lines at round times, over the stripes and under the bars.
    fn axis(&mut self) {
        let length = self.trace.length();
        let step = usize::try_from(scale::step(length)).unwrap_or(usize::MAX);
        let (above, below) = (self.row(0), self.row(count(&self.trace.rows)));
        for time in (0..=length).step_by(step) {
            let (x, label) = (self.x(time), above - 8);
            self.put(format_args!(
                "<path class=\"grid\" d=\"M{x} {above}V{below}\"/>\
                 <text class=\"soft\" x=\"{x}\" y=\"{label}\" text-anchor=\"middle\">{}</text>",
                scale::words(time)
            ));
        }
    }

    fn stripe(&mut self, place: u64) {
        if place.is_multiple_of(2) {
            let (y, width) = (self.row(place), WIDTH - 2 * MARGIN + 8);
            let x = MARGIN - 4;
            self.put(format_args!(
                "<rect class=\"odd\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{ROW}\"/>"
            ));
        }
    }

    fn name(&mut self, place: u64, row: &Row) {
        let x = MARGIN + INDENT * u64::try_from(row.depth).unwrap_or_default();
        let y = self.row(place) + 15;
        let class = if row.failed { " class=\"failed\"" } else { "" };
        let name = escaped(&row.name);
        self.put(format_args!(
            "<text{class} x=\"{x}\" y=\"{y}\">{name}</text>"
        ));
    }

    fn bar(&mut self, place: u64, row: &Row) {
        let (left, right) = (self.x(row.start), self.x(row.start + row.duration));
        let right = right.max(left + NARROWEST);
        let (y, width) = (self.row(place) + (ROW - BAR) / 2, right - left);
        let kind = kind(&row.name);
        self.put(format_args!(
            "<rect class=\"{kind}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{BAR}\" rx=\"2\"/>"
        ));
        let right = if row.failed {
            self.cross(right, y)
        } else {
            right
        };
        self.words(place, row, left, right);
    }

    /// Marks an error, right of its bar; where the mark ends.
    fn cross(&mut self, right: u64, y: u64) -> u64 {
        let (left, end) = (right + 5, right + 13);
        let (top, bottom) = (y + 2, y + 10);
        self.put(format_args!(
            "<path class=\"mark\" d=\"M{left} {top}L{end} {bottom}M{left} {bottom}L{end} {top}\"/>"
        ));
        end
    }

    /// What there is to say of a span: right of its bar, or left of it where there is more room.
    fn words(&mut self, place: u64, row: &Row, left: u64, right: u64) {
        let mut words = scale::words(row.duration);
        if !row.detail.is_empty() {
            write!(words, " · {}", row.detail).unwrap_or_default();
        }
        let needed = count(&words.chars().collect::<Vec<_>>()) * LETTER / 10 + 6;
        let fits = right + needed <= BARS + BARS_WIDTH || left < BARS + needed;
        let (x, anchor) = if fits {
            (right + 6, "start")
        } else {
            (left - 6, "end")
        };
        let (y, class) = (
            self.row(place) + 15,
            if row.failed { "failed" } else { "soft" },
        );
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(&words)
        ));
    }

    /// From the start of a bar, up or down to the one that it links to.
    fn arrow(&mut self, from: u64, to: u64) {
        let span = |place: u64| {
            let row = self.trace.rows.get(usize::try_from(place).ok()?)?;
            Some((self.x(row.start), self.x(row.start + row.duration)))
        };
        let (Some((left, _)), Some((to_left, to_right))) = (span(from), span(to)) else {
            return;
        };
        let (x, tip_x) = (left, left.clamp(to_left, to_right));
        let (up, down) = (
            self.row(to) + u64::midpoint(ROW, BAR),
            self.row(to) + (ROW - BAR) / 2,
        );
        let (tip, foot) = if to < from { (up, 7) } else { (down, -7) };
        let y = self.row(from) + ROW / 2;
        self.put(format_args!(
            "<path class=\"link\" stroke-dasharray=\"4 3\" d=\"M{x} {y}H{tip_x}V{tip}\"/>\
             <path class=\"head\" d=\"M{tip_x} {tip}l-4 {foot}h8z\"/>"
        ));
    }

    fn row(&self, place: u64) -> u64 {
        self.top + HEAD + ROW * place
    }

    fn x(&self, time: u64) -> u64 {
        let length = u128::from(self.trace.length().max(1));
        let offset = u128::from(time) * u128::from(BARS_WIDTH) / length;
        BARS + u64::try_from(offset).unwrap_or(BARS_WIDTH)
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // A String takes all that is written.
        writeln!(self.out, "{element}").unwrap_or_default();
    }
}

/// The class of a bar: our own spans by their first words, others are the user's.
fn kind(name: &str) -> &'static str {
    match name.split_once(' ').map_or(name, |(first, _)| first) {
        "poll" | "ack" | "nack" | "reject" => "source",
        "queue" => "queue",
        "process" => "process",
        "attempt" => "attempt",
        "wait" => "wait",
        "batch" => "batch",
        "send" => "send",
        "create" => "create",
        _ => "own",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
