//! The little of Kafka's protocol that a test needs: whether it is there, and new topics.
//!
//! Another program of Kafka's own would take longer to start than most tests take.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Of each read and write.
const PATIENCE: Duration = Duration::from_secs(20);

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const CREATE_TOPICS: i16 = 19;

const ALREADY_EXISTS: i16 = 36;

/// What a broker tells its clients.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// `host:port` of each broker that is ready to work.
    pub(super) brokers: Vec<String>,
    /// For each partition of the topic whether somebody leads it.
    pub(super) leaders: Vec<bool>,
}

/// Lets it make what it keeps of consumer groups, so that the first group need not wait for it.
pub(super) fn find_coordinator(address: SocketAddr) -> io::Result<()> {
    let mut request = Vec::new();
    text(&mut request, "towpath");
    ask(address, FIND_COORDINATOR, 0, &request).map(drop)
}

/// Creates a topic; one that is already there stays as it is.
pub(super) fn create_topic(address: SocketAddr, name: &str, partitions: u32) -> io::Result<()> {
    let mut request = 1_i32.to_be_bytes().to_vec();
    text(&mut request, name);
    request.extend(partitions.to_be_bytes());
    // One copy; nothing by hand, and no settings.
    request.extend(1_i16.to_be_bytes());
    request.extend([0; 8]);
    // Milliseconds; and not only to try.
    request.extend(20_000_i32.to_be_bytes());
    request.push(0);
    let mut answer = ask(address, CREATE_TOPICS, 2, &request)?;
    // Throttled so long, one topic, its name.
    answer.skip(8)?;
    answer.text()?;
    match answer.i16()? {
        0 | ALREADY_EXISTS => Ok(()),
        code => Err(io::Error::other(format!("error {code} for topic {name}"))),
    }
}

/// Of one topic or of none.
pub(super) fn metadata(address: SocketAddr, topic: Option<&str>) -> io::Result<Metadata> {
    let count = i32::from(topic.is_some());
    let mut request = count.to_be_bytes().to_vec();
    if let Some(topic) = topic {
        text(&mut request, topic);
    }
    ask(address, METADATA, 1, &request)?.metadata()
}

fn text(request: &mut Vec<u8>, text: &str) {
    let size = i16::try_from(text.len()).unwrap_or(i16::MAX);
    request.extend(size.to_be_bytes());
    request.extend(text.as_bytes());
}

fn ask(address: SocketAddr, key: i16, version: i16, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [key.to_be_bytes(), version.to_be_bytes()].concat();
    // The number of the request, and no name of the client.
    request.extend([0, 0, 0, 1, 0xFF, 0xFF]);
    request.extend(body);
    let size = u32::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&size.to_be_bytes()[..], &request].concat())?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = Answer::default();
    stream
        .take(u64::from(u32::from_be_bytes(size)))
        .read_to_end(&mut answer.bytes)?;
    answer.skip(4)?;
    Ok(answer)
}

#[derive(Debug, Default)]
struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn take(&mut self, size: usize) -> io::Result<&[u8]> {
        let (from, to) = (self.at, self.at.saturating_add(size));
        self.at = to;
        let found = self.bytes.get(from..to);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn skip(&mut self, size: usize) -> io::Result<()> {
        self.take(size).map(drop)
    }

    fn i16(&mut self) -> io::Result<i16> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> io::Result<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A negative size stands for none.
    fn text(&mut self) -> io::Result<String> {
        let size = self.i16()?;
        let bytes = self.take(usize::try_from(size).unwrap_or(0))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Those that are led by nobody have the number -1.
    fn metadata(&mut self) -> io::Result<Metadata> {
        let mut found = Metadata::default();
        for _ in 0..self.i32()? {
            found.brokers.push(self.broker()?);
        }
        // The controller.
        self.skip(4)?;
        for _ in 0..self.i32()? {
            self.skip(2)?;
            self.text()?;
            self.skip(1)?;
            for _ in 0..self.i32()? {
                found.leaders.push(self.partition()?);
            }
        }
        Ok(found)
    }

    /// An id, a host, a port, and a rack.
    fn broker(&mut self) -> io::Result<String> {
        self.skip(4)?;
        let host = self.text()?;
        let port = self.i32()?;
        self.text()?;
        Ok(format!("{host}:{port}"))
    }

    /// An error, a number, the leader; all copies, and those that are up to date.
    fn partition(&mut self) -> io::Result<bool> {
        let is_well = self.i16()? == 0;
        self.skip(4)?;
        let leader = self.i32()?;
        for _ in 0..2 {
            let copies = usize::try_from(self.i32()?).map_err(io::Error::other)?;
            self.skip(4 * copies)?;
        }
        Ok(is_well && leader >= 0)
    }
}
