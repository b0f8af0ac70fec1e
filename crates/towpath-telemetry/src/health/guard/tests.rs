//! Which requests are turned away.

use axum::body::Body;

use super::*;

fn request(target: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn refuses(guard: &Guard, headers: &[(&str, &str)]) -> bool {
    guard.0.refuses(&request("/livez", headers)).is_some()
}

fn local() -> Guard {
    Guard::new(true, vec!["towpath.internal".into()])
}

#[test]
fn on_loopback_loopbacks_names_and_those_given_are_answered() {
    let ours = [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1",
        "127.0.0.1:9464",
        "127.8.9.1:1",
        "[::1]",
        "[::1]:9464",
        "towpath.internal",
        "Towpath.Internal:8080",
    ];
    for host in ours {
        assert!(!refuses(&local(), &[("host", host)]), "{host}");
    }
}

#[test]
fn on_loopback_every_other_name_is_turned_away() {
    let foreign = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1:9464",
        "0.0.0.0",
        "[::2]",
        "",
        "localhost@evil.example",
        "evil@localhost",
        "a b",
        "internal",
        "localhost, evil.example",
    ];
    for host in foreign {
        assert!(refuses(&local(), &[("host", host)]), "{host}");
    }
}

#[test]
fn there_is_one_host_exactly() {
    assert!(refuses(&local(), &[]));
    assert!(refuses(
        &local(),
        &[("host", "localhost"), ("host", "localhost")]
    ));
}

#[test]
fn a_target_with_a_name_of_its_own_is_checked_too() {
    let host = [("host", "localhost")];
    let refused = |target| local().0.refuses(&request(target, &host)).is_some();
    assert!(refused("http://evil.example/livez"));
    assert!(!refused("http://127.0.0.1:9464/livez"));
}

#[test]
fn pages_of_others_are_turned_away_and_our_own_are_not() {
    let refused = |origin| refuses(&local(), &[("host", "localhost"), ("origin", origin)]);
    for ours in [
        "http://localhost:9464",
        "http://127.0.0.1",
        "https://towpath.internal",
    ] {
        assert!(!refused(ours), "{ours}");
    }
    for foreign in ["http://evil.example", "null", "", "localhost", "file://"] {
        assert!(refused(foreign), "{foreign}");
    }
}

#[test]
fn elsewhere_every_name_is_answered_until_one_is_given() {
    let open = Guard::new(false, Vec::new());
    assert!(!refuses(
        &open,
        &[("host", "whatever.example"), ("origin", "http://a.example")]
    ));
    let named = Guard::new(false, vec!["towpath.example".into()]);
    for (host, refused) in [
        ("towpath.example", false),
        ("10.1.2.3:9464", false),
        ("evil.example", true),
    ] {
        assert_eq!(refuses(&named, &[("host", host)]), refused, "{host}");
    }
}
