//! The little of Markdown that the checks need: headings, code spans and tables.

/// The lines outside fenced blocks, with their numbers, counted from 1.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let mark = fence_mark(line);
        match (fence, mark) {
            (None, None) => return true,
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if mark.starts_with(open) => fence = None,
            (Some(_), _) => {}
        }
        false
    })
}

/// The run of backticks or tildes that opens or closes a fenced block.
fn fence_mark(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let first = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(first).len();
    (length >= 3).then(|| &line[..length])
}

/// Level and text of a heading.
pub(crate) fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with(' ');
    is_heading.then(|| (level, text.trim()))
}

/// The code spans of a line: what stands between single backticks.
pub(crate) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    let closed = line.matches('`').count() / 2;
    line.split('`')
        .skip(1)
        .step_by(2)
        .take(closed)
        .filter(|span| !span.is_empty())
}

/// The cells of a line of a table, or `None` when it is no such line.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inner
        .match_indices('|')
        .filter(|&(at, _)| !inner[..at].ends_with('\\'))
    {
        cells.push(inner[start..at].trim());
        start = at + 1;
    }
    cells.push(inner[start..].trim());
    Some(cells)
}

/// Whether these are the cells of the line of dashes below the head of a table.
pub(crate) fn is_rule(cells: &[&str]) -> bool {
    cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.trim_matches(':').chars().all(|c| c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_blocks_are_no_prose() {
        let text = "one\n```rust\n# not a heading\n```\ntwo\n````\n```\n````\nthree";
        let lines: Vec<_> = prose(text).collect();
        assert_eq!(lines, [(1, "one"), (5, "two"), (9, "three")]);
    }

    #[test]
    fn a_heading_has_a_level_and_a_text() {
        assert_eq!(heading("### `towpath-core`"), Some((3, "`towpath-core`")));
        assert_eq!(heading("#[test]"), None);
        assert_eq!(heading("plain"), None);
    }

    #[test]
    fn code_spans_need_both_backticks() {
        assert_eq!(
            code_spans("see `a.rs` and `b.rs`").collect::<Vec<_>>(),
            ["a.rs", "b.rs"]
        );
        assert_eq!(
            code_spans("see `a.rs` and `b").collect::<Vec<_>>(),
            ["a.rs"]
        );
    }

    #[test]
    fn cells_are_split_at_bars_that_are_not_escaped() {
        assert_eq!(cells("| a | b \\| c | |"), Some(vec!["a", "b \\| c", ""]));
        assert_eq!(cells("no table"), None);
        assert!(is_rule(&["---", ":--:"]));
        assert!(!is_rule(&["1", "---"]));
    }
}
