//! Turns away what a page of a stranger makes a browser ask.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// By which names the server may be asked.
///
/// A page of a stranger can give its own name the address of this machine, and then ask as if
/// it were asking itself; the name in `Host` gives it away. An `Origin` does so too.
#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<Names>);

#[derive(Debug)]
struct Names {
    loopback: bool,
    names: Vec<String>,
}

impl Guard {
    /// On loopback only loopback's names, and those that are given; elsewhere whatever name,
    /// unless some are given: those, and addresses, which no page can claim.
    pub(super) fn new(loopback: bool, names: Vec<String>) -> Self {
        Self(Arc::new(Names { loopback, names }))
    }

    pub(super) async fn check(State(guard): State<Self>, request: Request, next: Next) -> Response {
        match guard.0.refuses(&request) {
            None => next.run(request).await,
            Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        }
    }
}

impl Names {
    fn refuses(&self, request: &Request) -> Option<&'static str> {
        if !self.loopback && self.names.is_empty() {
            return None;
        }
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let one = hosts.next().is_none();
        if !one || !host.is_some_and(|host| self.is_ours(host)) {
            return Some("this server is not asked by that name: see the Host header\n");
        }
        let target = request.uri().authority();
        if !target.is_none_or(|target| self.is_ours(target.as_str())) {
            return Some("this server is not asked by that name: see the target\n");
        }
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        let ours = |origin: Option<&str>| origin.is_some_and(|origin| self.is_our_origin(origin));
        let foreign = origins.any(|origin| !ours(origin.to_str().ok()));
        foreign.then_some("this server is not asked by pages of others: see the Origin header\n")
    }

    fn is_our_origin(&self, origin: &str) -> bool {
        let origin = origin.parse::<Uri>().ok();
        // Without a scheme it would be read as a name alone, which is no origin.
        let origin = origin.as_ref().filter(|origin| origin.scheme().is_some());
        let authority = origin.and_then(Uri::authority);
        authority.is_some_and(|authority| self.is_ours(authority.as_str()))
    }

    /// Whether a name with or without a port is one of ours.
    fn is_ours(&self, authority: &str) -> bool {
        if authority.contains('@') {
            return false;
        }
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host();
        let is = |name: &str| name.eq_ignore_ascii_case(host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => {
                !self.loopback || address.is_loopback() || self.names.iter().any(|n| is(n))
            }
            Err(_) => is("localhost") || self.names.iter().any(|name| is(name)),
        }
    }
}

#[cfg(test)]
mod tests;
