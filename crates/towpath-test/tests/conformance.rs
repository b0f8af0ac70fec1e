//! The conformance suite of connectors: a queue in memory passes, each broken one is found.

#[path = "conformance/broken.rs"]
mod broken;
#[path = "conformance/broker.rs"]
mod broker;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/receiving.rs"]
mod receiving;
#[path = "conformance/rig.rs"]
mod rig;
#[path = "conformance/storing.rs"]
mod storing;

use rig::MemoryRig;

#[expect(clippy::unnecessary_wraps, reason = "rigs with servers may have none")]
fn rig() -> Option<MemoryRig> {
    Some(MemoryRig::new())
}

towpath_test::conformance_source!(rig);
towpath_test::conformance_sink!(rig);
towpath_test::conformance_both!(rig);
