//! The requests for messages that wait at the server, and the inbox where they are answered.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use crate::{NatsError, connection::Live};

/// More at once would only wait here.
const MOST_AT_ONCE: usize = 4096;

/// How long a request waits while others have to wait for their turn.
const SHORT_TURN: Duration = Duration::from_secs(1);

/// How much later than it should a sign of life may come.
const GRACE: Duration = Duration::from_millis(500);

/// How much later than it should a timer may wake us that is in time.
const LATE: Duration = Duration::from_millis(50);

/// The requests over one connection: at most one at a time for each consumer.
///
/// A request asks for as many messages as somebody can take. It ends as soon as the server
/// has nothing more, or has waited long enough for the first: so nothing comes later, when
/// nobody has asked.
#[derive(Debug)]
pub(super) struct Pulls {
    live: Live,
    inbox: String,
    subscriber: Subscriber,
    consumers: Vec<Puller>,
    limits: Limits,
    /// The number of the next request.
    next: u64,
    /// Which consumer is asked first.
    turn: usize,
    /// When the server has said something last, or had nothing to say.
    heard_at: Instant,
    /// Whether this process was not there when it was to be heard.
    stood_still: bool,
    /// When nothing was there: what came since has come later.
    looked_at: Instant,
}

/// How much is asked for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batch: usize,
    pub(super) bytes: u64,
    pub(super) expires: Duration,
}

/// One consumer, and what is asked of it.
#[derive(Debug)]
pub(super) struct Puller {
    pub(super) name: String,
    /// Where requests go.
    subject: String,
    open: Option<Open>,
    /// Whether the last request ended with nothing, at once: the next waits for one message
    /// in line with those of others, and of whatever size.
    is_patient: bool,
}

/// A request that waits at the server.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    asked: usize,
    got: usize,
    since: Instant,
}

/// What came.
pub(super) enum Came {
    /// A message, for the consumer of that place.
    Message(usize, Message),
    /// A request ended, or a sign of life.
    Word,
}

impl Pulls {
    pub(super) async fn open(
        live: Live,
        stream: &str,
        consumers: Vec<String>,
        limits: Limits,
    ) -> Result<Self, NatsError> {
        let inbox = live.client.new_inbox();
        let subscriber = live.client.subscribe(format!("{inbox}.*")).await;
        let subscriber = subscriber.map_err(|_| live.is_lost())?;
        let puller = |name: String| Puller {
            subject: format!("{}.CONSUMER.MSG.NEXT.{stream}.{name}", live.api),
            name,
            open: None,
            is_patient: false,
        };
        Ok(Self {
            consumers: consumers.into_iter().map(puller).collect(),
            live,
            inbox,
            subscriber,
            limits,
            next: 0,
            turn: 0,
            heard_at: Instant::now(),
            stood_still: false,
            looked_at: Instant::now(),
        })
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// When nothing was there: what comes now was delivered no earlier.
    pub(super) fn looked_at(&self) -> Instant {
        self.looked_at
    }

    /// Asks for up to `room` messages, less those that are asked for already.
    pub(super) async fn ask_for(&mut self, room: usize) -> Result<(), NatsError> {
        let open = self.consumers.iter().filter_map(|consumer| consumer.open);
        let mut left = room.saturating_sub(open.map(|open| open.asked - open.got).sum());
        let count = self.consumers.len();
        let each = if count == 1 {
            self.limits.batch.min(MOST_AT_ONCE)
        } else {
            1
        };
        // With too little room for all they take turns, and the turns are short.
        let expires = if room < count {
            self.limits.expires.min(SHORT_TURN)
        } else {
            self.limits.expires
        };
        for step in 0..count {
            if left == 0 {
                break;
            }
            let place = (self.turn + step) % count;
            if self.consumers[place].open.is_none() {
                let batch = left.min(each);
                self.ask(place, batch, expires).await?;
                left -= batch;
                self.turn = (place + 1) % count;
            }
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        place: usize,
        batch: usize,
        expires: Duration,
    ) -> Result<(), NatsError> {
        let number = self.next;
        self.next += 1;
        let consumer = &mut self.consumers[place];
        let batch = if consumer.is_patient { 1 } else { batch };
        let request = request(batch, self.limits.bytes, expires, consumer.is_patient);
        let reply = format!("{}.{number}", self.inbox);
        // The place in the client's queue is free unless the connection is lost.
        let client = &self.live.client;
        let asking = client.publish_with_reply(consumer.subject.clone(), reply, request.into());
        tokio::select! {
            asked = asking => asked.map_err(|_| self.live.is_lost())?,
            () = self.live.lost() => return Err(self.live.is_lost()),
        }
        let since = Instant::now();
        self.heard_at = self.heard_at.max(since);
        consumer.open = Some(Open {
            number,
            asked: batch,
            got: 0,
            since,
        });
        Ok(())
    }

    /// What has come already.
    pub(super) fn take(&mut self) -> Result<Option<Came>, NatsError> {
        match self.subscriber.next().now_or_never() {
            None => {
                self.looked_at = Instant::now();
                Ok(None)
            }
            Some(None) => Err(self.live.is_lost()),
            Some(Some(message)) => self.sort(message).map(Some),
        }
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// Fails when the connection is lost, when the server shows no sign of life, and when it
    /// refuses a request.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn wait(&mut self) -> Result<Came, NatsError> {
        let silence = self.limits.expires / 2 + GRACE;
        let due = self.heard_at + silence;
        let came = tokio::select! {
            came = timeout_at(due, self.subscriber.next()) => came,
            () = self.live.lost() => return Err(self.live.is_lost()),
        };
        match came {
            Ok(Some(message)) => self.sort(message),
            Ok(None) => Err(self.live.is_lost()),
            // Woken too late: it was this process that stood still, and what the server has
            // said meanwhile may still have to be read.
            Err(_) if due.elapsed() > LATE && !self.stood_still => {
                self.resume();
                self.stood_still = true;
                Ok(Came::Word)
            }
            Err(_) => Err(self.live.no_answer("a request for messages", silence)),
        }
    }

    /// Goes on after nobody has listened for a while.
    pub(super) fn resume(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Ends the subscription; what has been sent before it ended still comes.
    pub(super) async fn end(&mut self) {
        if self.subscriber.drain().await.is_err() {
            // The connection is lost: nothing more comes in any case.
        }
    }

    /// What still comes after the [end](Self::end); `None` when that was all.
    pub(super) async fn rest(&mut self) -> Option<Message> {
        self.subscriber.next().await
    }

    fn sort(&mut self, message: Message) -> Result<Came, NatsError> {
        self.heard_at = Instant::now();
        self.stood_still = false;
        match message.status {
            None => Ok(self.delivered(message)),
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(Came::Word),
            Some(status) => self.ended(&message, status),
        }
    }

    fn delivered(&mut self, message: Message) -> Came {
        let place = self.place_of(&message).unwrap_or(0);
        let consumer = &mut self.consumers[place];
        consumer.is_patient = false;
        if let Some(open) = &mut consumer.open {
            open.got += 1;
            if open.got >= open.asked {
                consumer.open = None;
            }
        }
        Came::Message(place, message)
    }

    fn place_of(&self, message: &Message) -> Option<usize> {
        if self.consumers.len() == 1 {
            return None;
        }
        let info = crate::delivery_info::DeliveryInfo::read(message.reply.as_deref()?)?;
        let mut consumers = self.consumers.iter();
        consumers.position(|consumer| consumer.name == info.consumer)
    }

    /// A request has ended before it was filled.
    fn ended(&mut self, message: &Message, status: StatusCode) -> Result<Came, NatsError> {
        let number = message
            .subject
            .rsplit('.')
            .next()
            .and_then(|n| n.parse().ok());
        let mut consumers = self.consumers.iter_mut();
        let found = consumers.find(|consumer| {
            let open = consumer.open.as_ref();
            open.is_some_and(|open| Some(open.number) == number)
        });
        let Some(consumer) = found else {
            // Of one that counts as ended.
            return Ok(Came::Word);
        };
        let said = message.description.as_deref().unwrap_or_default();
        let open = consumer.open.take();
        let is_over = match status {
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => true,
            StatusCode::REQUEST_TERMINATED => said.eq_ignore_ascii_case(TOO_LARGE),
            _ => false,
        };
        if !is_over {
            let asked = format!("a request for messages of consumer {:?}", consumer.name);
            return Err(self.live.refused(asked, &format!("{said} ({status})")));
        }
        if let Some(open) = open {
            let at_once = open.since.elapsed() < self.limits.expires / 4;
            consumer.is_patient = open.got == 0 && at_once;
        }
        Ok(Came::Word)
    }
}

/// What the server says when the next message is larger than all that was asked for.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";

/// A request in JSON. It ends with the last message that is there, or when it expires.
fn request(batch: usize, bytes: u64, expires: Duration, is_patient: bool) -> String {
    let (heartbeat, expires) = ((expires / 4).as_nanos(), expires.as_nanos());
    let how = if is_patient {
        String::new()
    } else {
        format!(r#","no_wait":true,"max_bytes":{bytes}"#)
    };
    format!(r#"{{"batch":{batch},"expires":{expires},"idle_heartbeat":{heartbeat}{how}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_json_and_its_heartbeat_is_short_enough() {
        for is_patient in [false, true] {
            let text = request(7, 4096, Duration::from_secs(10), is_patient);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["batch"], 7);
            assert_eq!(json["expires"], 10_000_000_000_u64);
            assert_eq!(json["idle_heartbeat"], 2_500_000_000_u64);
            assert_eq!(json["no_wait"].as_bool().is_some(), !is_patient);
            assert_eq!(json["max_bytes"].as_u64().is_some(), !is_patient);
        }
    }
}
