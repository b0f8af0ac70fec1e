//! The little of HTTP that a test needs: one request, one answer, on the loopback address.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Of each read and write.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 and the like.
    pub status: u16,
    /// Name and value of each header, names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header; its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(found, _)| found == name)?;
        Some(value)
    }
}

/// Asks for `http://host:port/path`.
///
/// # Errors
///
/// When nobody answers there, or what answers is no HTTP.
pub fn get(url: &str) -> io::Result<Answer> {
    request("GET", url, "", b"")
}

/// Sends a body to `http://host:port/path`.
///
/// # Errors
///
/// When nobody answers there, or what answers is no HTTP.
pub fn post(url: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
    let headers = format!(
        "Content-Type: {content_type}\r\nContent-Length: {}\r\n",
        body.len()
    );
    request("POST", url, &headers, body)
}

/// Text as it may stand in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        if is_plain {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

fn request(method: &str, url: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
    let (host, path) = parts(url).ok_or_else(|| invalid("no http:// address"))?;
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // By the old version the answer comes in one piece, and ends with the connection.
    let head =
        format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| invalid("the answer is no HTTP"))
}

fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    Some(Answer {
        status,
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn a_request_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a?b=1", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let size = stream.read(&mut request).unwrap();
            let answer = b"HTTP/1.0 404 Not Found\r\nX-Why: no such page\r\n\r\nnot\r\n\r\nhere";
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..size]).into_owned()
        });
        let answer = get(&url).unwrap();
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /a?b=1 HTTP/1.0\r\n")
        );
        assert_eq!((answer.status, &*answer.body), (404, "not\r\n\r\nhere"));
        assert_eq!(answer.header("x-why"), Some("no such page"));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(get("https://127.0.0.1:1/").is_err());
        assert!(parse("HTTP/1.0 twohundred\r\n\r\n").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(
            encoded(r#"sum(a{b="c d"})"#),
            "sum%28a%7Bb%3D%22c%20d%22%7D%29"
        );
    }
}
