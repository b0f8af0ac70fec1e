//! What a Kafka is told.

use std::net::SocketAddr;

use crate::certificates::BOTH;
use crate::ports::Reserved;

/// In its folder.
pub(super) const FILE: &str = "server.properties";

/// Below its folder, as the settings say.
pub(super) const DATA: &str = "data";

/// One node that is everything, with as few partitions of its own as possible, and that waits
/// for nobody.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
log.dirs=data
num.network.threads=1
num.io.threads=2
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1500
";

/// Another way in, beside that for everybody.
#[derive(Debug)]
pub(super) struct Door {
    port: Reserved,
    /// Where clients are told to come.
    told: SocketAddr,
    protocol: &'static str,
    settings: String,
}

impl Door {
    /// For whom comes by this proxy.
    pub(super) fn proxied(port: Reserved, proxy: SocketAddr) -> Self {
        Self {
            port,
            told: proxy,
            protocol: "PLAINTEXT",
            settings: String::new(),
        }
    }

    pub(super) fn with_user(port: Reserved, user: &str, password: &str) -> Self {
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        Self {
            told: port.address(),
            port,
            protocol: "SASL_PLAINTEXT",
            settings: format!(
                "listener.name.door.sasl.enabled.mechanisms=PLAIN\n\
                 listener.name.door.plain.sasl.jaas.config={login} user_{user}=\"{password}\";\n"
            ),
        }
    }

    pub(super) fn with_tls(port: Reserved) -> Self {
        Self {
            told: port.address(),
            port,
            protocol: "SSL",
            settings: format!(
                "listener.name.door.ssl.keystore.type=PEM\n\
                 listener.name.door.ssl.keystore.location={BOTH}\n"
            ),
        }
    }

    /// Where clients are told to come.
    pub(super) fn address(&self) -> SocketAddr {
        self.told
    }
}

pub(super) fn config(client: SocketAddr, controller: SocketAddr, door: Option<&Door>) -> String {
    let own = (client, "PLAINTEXT", client, "");
    let door = door.map(|door| {
        (
            door.port.address(),
            door.protocol,
            door.told,
            &*door.settings,
        )
    });
    let (here, protocol, told, settings) = door.unwrap_or(own);
    let [listen, tell] = [here, told].map(|address| {
        let door = door.map(|_| format!(",DOOR://{address}"));
        format!("CLIENT://{client}{}", door.unwrap_or_default())
    });
    format!(
        "{SETTINGS}\
         listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,DOOR:{protocol}\n\
         controller.quorum.voters=1@{controller}\n\
         listeners={listen},CONTROLLER://{controller}\n\
         advertised.listeners={tell}\n\
         {settings}"
    )
}
