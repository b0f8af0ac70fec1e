//! What can be said on the command line.

use clap::Parser;
use towpath::telemetry::otlp::{Otlp, Setup, SetupError};

use crate::told::Told;

/// Sends four orders through a small shop, and the trace of each of them to a collector.
#[derive(Debug, Parser)]
#[command(name = "journey")]
pub(crate) struct Cli {
    /// Sends traces to this collector, `http://127.0.0.1:4317` say.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Where traces are looked at, for the link; port 16686 of the collector's host by default.
    #[arg(long, value_name = "URL", requires = "otlp")]
    jaeger: Option<String>,
}

// === impl Cli ===

impl Cli {
    /// Begins to send, where there is somebody to send to: every order is traced.
    ///
    /// # Errors
    /// Fails for an address or a variable that makes no sense.
    pub(crate) fn telemetry(&self) -> Result<Option<Otlp>, SetupError> {
        let setup = |url| Setup::new("journey").endpoint(url).ratio(1.0).start();
        self.otlp.as_ref().map(setup).transpose()
    }

    /// The page of the first order's trace.
    pub(crate) fn page(&self, told: &Told) -> Option<String> {
        let (trace, pages) = (told.first_trace()?, self.pages()?);
        Some(format!(
            "{}/trace/{trace:032x}",
            pages.trim_end_matches('/')
        ))
    }

    fn pages(&self) -> Option<String> {
        if let Some(jaeger) = &self.jaeger {
            return Some(jaeger.clone());
        }
        let collector = self.otlp.as_ref()?;
        let (_, rest) = collector.split_once("://").unwrap_or(("", collector));
        let address = rest.split('/').next()?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        Some(format!("http://{host}:16686"))
    }
}
