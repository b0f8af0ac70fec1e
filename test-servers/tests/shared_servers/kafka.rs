//! Kafka, as far as its own words reach.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use towpath_test_servers::{Kafka, or_not_run};

use crate::{PATIENCE, SHORT, is_there};

#[test]
fn topics_survive_a_kill_and_a_stop() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("orders", 3);
    for end in [Kafka::kill, Kafka::stop] {
        end(&mut kafka);
        assert!(!is_there(kafka.address()));
        kafka.restart().unwrap();
        assert_eq!(kafka.partitions("orders").unwrap(), 3);
    }
    // What is there stays as it is.
    kafka.create_topic("orders", 3);
    assert_eq!(kafka.partitions("returns").unwrap(), 0);
    assert_eq!(kafka.brokers(), brokers);
}

#[test]
fn what_is_no_topic_is_refused() {
    let Some(kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let refused = catch_unwind(AssertUnwindSafe(|| kafka.create_topic("a topic", 1)));
    assert!(refused.is_err());
}

#[test]
fn through_a_proxy_only_the_proxy_is_seen() {
    let Some((kafka, mut proxy)) = or_not_run(Kafka::start_with_proxy()) else {
        return;
    };
    assert_eq!(
        kafka.advertised(proxy.addr()).unwrap(),
        [proxy.addr().to_string()]
    );
    assert_eq!(
        kafka.advertised(kafka.address()).unwrap(),
        [kafka.address().to_string()]
    );
    proxy.cut();
    assert!(kafka.advertised(proxy.addr()).is_err());
}

#[test]
fn with_a_user_or_tls_there_is_one_more_way_in_and_that_is_told() {
    for start in [|| Kafka::with_user("ada", "secret"), Kafka::with_tls] {
        let Some(mut kafka) = or_not_run(start()) else {
            continue;
        };
        kafka.kill();
        kafka.restart().unwrap();
        assert_ne!(kafka.brokers(), kafka.address().to_string());
        TcpStream::connect(kafka.brokers()).unwrap();
        // There nobody is told anything without more ado.
        let door = kafka.brokers().parse().unwrap();
        assert!(kafka.advertised(door).is_err());
        kafka.create_topic("orders", 1);
    }
}

#[test]
fn while_it_is_frozen_it_answers_nobody() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    kafka.freeze();
    let mut client = TcpStream::connect(kafka.address()).unwrap();
    client.set_read_timeout(Some(SHORT)).unwrap();
    // What versions it speaks.
    let request = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
    client.write_all(request).unwrap();
    assert!(client.read_exact(&mut [0; 8]).is_err());
    kafka.thaw();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut [0; 8]).unwrap();
    kafka.create_topic("orders", 1);
}

#[test]
fn it_is_gone_when_it_is_dropped_also_while_it_is_frozen() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let (address, log) = (kafka.address(), kafka.log_path());
    assert!(is_there(address) && log.exists());
    kafka.freeze();
    drop(kafka);
    assert!(!is_there(address) && !log.exists());
}
