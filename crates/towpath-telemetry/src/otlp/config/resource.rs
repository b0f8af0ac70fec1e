//! Who it is that sends.

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{ResourceDetector, TelemetryResourceDetector},
};

use super::{
    Given,
    variables::{Variables, pairs},
};

/// The name of the service, in this order: `OTEL_SERVICE_NAME`, `service.name` in
/// `OTEL_RESOURCE_ATTRIBUTES`, what the code says.
pub(super) fn read(given: &Given, from: &mut Variables<'_>) -> Resource {
    let expected = "names and values of attributes: `name=value,name2=value2`";
    let names = ["OTEL_RESOURCE_ATTRIBUTES".to_owned()];
    let told = from.read(&names, expected, pairs).unwrap_or_default();
    let service = from.text("OTEL_SERVICE_NAME");
    let detected = TelemetryResourceDetector.detect();
    let mut attributes: Vec<_> = detected
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .collect();
    attributes.push(KeyValue::new("service.instance.id", instance()));
    attributes.push(KeyValue::new("service.name", given.service.clone()));
    attributes.extend(given.attributes.iter().cloned().map(attribute));
    attributes.extend(told.into_iter().map(attribute));
    attributes.extend(service.map(|name| KeyValue::new("service.name", name)));
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

fn attribute((name, value): (String, String)) -> KeyValue {
    KeyValue::new(name, value)
}

/// Tells apart what several processes of a service count: a random UUID.
fn instance() -> String {
    let mut id = uuid(fastrand::u128(..));
    for dash in [20, 16, 12, 8] {
        id.insert(dash, '-');
    }
    id
}

/// With the bits that say that it is a random one.
fn uuid(random: u128) -> String {
    let version = (random & !(0xf << 76)) | (0x4 << 76);
    format!("{:032x}", (version & !(0x3 << 62)) | (0x2 << 62))
}
