//! What the picture shows.

use super::*;

fn row(name: &str, start: u64, duration: u64) -> Row {
    Row {
        name: name.to_owned(),
        depth: 1,
        start,
        duration,
        detail: String::new(),
        failed: false,
        links: Vec::new(),
    }
}

fn trace() -> Trace {
    let failed = Row {
        detail: "no. 1, <timeout>".to_owned(),
        failed: true,
        ..row("attempt fetch", 0, 500)
    };
    let linked = Row {
        links: vec![0],
        ..row("create table", 990, 10)
    };
    Trace {
        title: "order & co".to_owned(),
        rows: vec![failed, linked],
    }
}

#[test]
fn the_same_traces_give_the_same_picture() {
    assert_eq!(svg(&[trace()]), svg(&[trace()]));
}

#[test]
fn bars_are_as_long_as_their_spans_are_and_can_always_be_seen() {
    let picture = svg(&[trace()]);
    let half = BARS_WIDTH / 2;
    assert!(
        picture.contains(&format!(
            "class=\"attempt\" x=\"{BARS}\" y=\"73\" width=\"{half}\""
        )),
        "{picture}"
    );
    let long = Trace {
        title: String::new(),
        rows: vec![row("queue a", 0, 1), row("process a", 0, 1_000_000)],
    };
    assert!(svg(&[long]).contains(&format!("width=\"{NARROWEST}\" height=\"{BAR}\"")));
}

#[test]
fn errors_and_links_are_marked_and_words_are_escaped() {
    let picture = svg(&[trace()]);
    assert_eq!(picture.matches("class=\"mark\"").count(), 1);
    assert_eq!(picture.matches("class=\"link\"").count(), 1);
    assert!(picture.contains("500 µs · no. 1, &lt;timeout&gt;"));
    assert!(picture.contains("order &amp; co"));
}

#[test]
fn words_that_do_not_fit_to_the_right_of_a_bar_are_to_its_left() {
    assert!(svg(&[trace()]).contains("text-anchor=\"end\">10 µs</text>"));
}

#[test]
fn a_trace_that_took_no_time_is_drawn_too() {
    let short = Trace {
        title: "short".to_owned(),
        rows: vec![row("poll a", 0, 0)],
    };
    assert!(svg(&[short]).contains("0 µs"));
}
