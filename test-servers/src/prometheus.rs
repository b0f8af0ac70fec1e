//! A Prometheus that scrapes what a test serves, and `promtool`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::Deadline;
use crate::guarded::{Guarded, Output};
use crate::not_here::{NotHere, is_unwanted};
use crate::places::{self, Program};
use crate::{http, ports};

const NAME: &str = "prometheus";
const HELP: &str = "`cargo xtask services` or `apt-get install prometheus` gets it, PROMETHEUS \
                    and PROMTOOL say where it is";

/// Until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that was free may be taken when Prometheus comes to it.
const ATTEMPTS: usize = 3;

/// A Prometheus of one's own; it ends when dropped.
#[derive(Debug)]
pub struct Prometheus {
    process: Guarded,
    address: String,
}

/// One element of the answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With `__name__`, `job` and `instance` where they are left.
    pub labels: BTreeMap<String, String>,
    /// As it is now.
    pub value: f64,
}

/// What `promtool` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether it found nothing to complain of.
    pub is_good: bool,
    /// All that it printed.
    pub said: String,
}

impl Prometheus {
    /// Starts it, and returns when it answers. It asks each target, a `host:port` with
    /// `/metrics`, five times a second, and evaluates the files of rules as often. It asks for the
    /// first time five seconds after its start: no option changes that.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start(targets: &[&str], rules: &[&Path]) -> Result<Self, NotHere> {
        let program = find(&places::PROMETHEUS)?;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match Self::attempt(&program, &config(targets, rules)).map_err(not_started)? {
                Ok(prometheus) => return Ok(prometheus),
                Err(log) => last = log,
            }
        }
        Err(NotHere::NoAnswer {
            server: NAME,
            log: last,
        })
    }

    /// The address of its pages and of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the expression says now, one sample for each set of labels.
    ///
    /// # Errors
    ///
    /// When it does not answer, or does not understand the expression.
    pub fn query(&self, promql: &str) -> io::Result<Vec<Sample>> {
        let data = self.data(&format!("/api/v1/query?query={}", http::encoded(promql)))?;
        let result = &data["result"];
        if data["resultType"] == "scalar" {
            return Ok(vec![sample(&Value::Null, result)]);
        }
        let samples = result.as_array().into_iter().flatten();
        Ok(samples
            .map(|found| sample(&found["metric"], &found["value"]))
            .collect())
    }

    /// What the expression says once it is as wanted; what it says then, where it is not within
    /// this time.
    ///
    /// # Errors
    ///
    /// When it does not answer, or does not understand the expression.
    pub fn await_query(
        &self,
        promql: &str,
        until: impl Fn(&[Sample]) -> bool,
        within: Duration,
    ) -> io::Result<Vec<Sample>> {
        let wanted = Deadline::after(within).poll(|| match self.query(promql) {
            Ok(samples) => until(&samples).then_some(Ok(samples)),
            Err(error) => Some(Err(error)),
        });
        wanted.unwrap_or_else(|| self.query(promql))
    }

    /// The field `data` of what its API answers: `/api/v1/rules`, `/api/v1/targets`..
    ///
    /// # Errors
    ///
    /// When it does not answer, or answers with an error.
    pub fn data(&self, path: &str) -> io::Result<Value> {
        let answer = http::get(&format!("{}{path}", self.url()))?;
        if answer.status != 200 {
            return Err(io::Error::other(answer.body));
        }
        let mut body: Value = serde_json::from_str(&answer.body)?;
        Ok(body["data"].take())
    }

    /// The inner error is what Prometheus said.
    fn attempt(program: &Path, config: &Value) -> io::Result<Result<Self, String>> {
        let [address] = ports::free()?;
        let folder = TempDir::new()?;
        fs::write(folder.path().join("prometheus.yml"), config.to_string())?;
        let command = [
            program.display().to_string(),
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address={address}"),
        ];
        let process = Guarded::start(folder, &command, Output::Logged)?;
        let mut prometheus = Self { process, address };
        let answers = Deadline::after(PATIENCE).poll(|| {
            let answers = prometheus.is_ready();
            (answers || prometheus.process.has_ended()).then_some(answers)
        });
        if answers == Some(true) {
            Ok(Ok(prometheus))
        } else {
            Ok(Err(prometheus.process.log()))
        }
    }

    fn is_ready(&self) -> bool {
        let answer = http::get(&format!("{}/-/ready", self.url()));
        answer.is_ok_and(|answer| answer.status == 200)
    }
}

/// Runs `promtool` with these arguments and this input, in the current directory.
///
/// `check rules FILE` and `check config FILE` look at files, `check metrics` at its input.
///
/// # Errors
///
/// When it is not wanted or not there.
pub fn promtool(args: &[&str], input: &str) -> Result<Checked, NotHere> {
    let program = find(&places::PROMTOOL)?;
    run(&program, args, input).map_err(not_started)
}

fn run(program: &Path, args: &[&str], input: &str) -> io::Result<Checked> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take();
    // Beside the reading: neither may wait for the other. Who does not read it all may not care.
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            stdin
                .take()
                .map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        child.wait_with_output()
    })?;
    let said = [output.stdout, output.stderr].concat();
    Ok(Checked {
        is_good: output.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

fn find(program: &Program) -> Result<PathBuf, NotHere> {
    if is_unwanted(NAME) {
        return Err(NotHere::Unwanted { server: NAME });
    }
    program.find()?.ok_or(NotHere::Missing {
        server: NAME,
        help: HELP,
    })
}

fn not_started(source: io::Error) -> NotHere {
    NotHere::NotStarted {
        server: NAME,
        source,
    }
}

fn sample(labels: &Value, value: &Value) -> Sample {
    let labels = labels.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Sample {
        labels: labels
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        // A pair of the time and of the value as text.
        value: text(&value[1]).parse().unwrap_or(f64::NAN),
    }
}

/// JSON is YAML.
fn config(targets: &[&str], rules: &[&Path]) -> Value {
    let rules = rules
        .iter()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
    json!({
        "global": {
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
            "evaluation_interval": "200ms",
        },
        "rule_files": rules.map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "scrape_configs": [{"job_name": "towpath", "static_configs": [{"targets": targets}]}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_its_labels_and_its_value() {
        let found = sample(&json!({"stage": "parse"}), &json!([1.5, "+Inf"]));
        assert_eq!(found.labels["stage"], "parse");
        assert!(found.value.is_infinite());
        assert!(sample(&Value::Null, &Value::Null).value.is_nan());
    }
}
