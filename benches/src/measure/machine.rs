//! What the figures were measured on: without it they mean nothing.

use std::fs;
use std::thread::available_parallelism;

/// One line about the machine: processor, cores, kernel and how busy it was.
pub fn describe() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let model = processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let kernel = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = line("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let os = std::env::consts::OS;
    format!("{cores} cores of {model}, {os} {kernel}, load average {load}")
}

fn processor() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    model.split_once(": ").map(|(_, name)| name.to_owned())
}

fn line(file: &str) -> Option<String> {
    fs::read_to_string(file)
        .ok()
        .map(|text| text.trim().to_owned())
}
