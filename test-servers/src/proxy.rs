//! A connection that can be broken.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::ports::Reserved;

/// Of each connection to the server behind it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stands between a client and a server of this machine, and can fail in between; ends with all
/// its connections when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Reserved,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    is_stalled: bool,
    /// How often all connections were closed: those of before do not wait.
    closed: u64,
    /// Both ends of each connection that may still be open.
    connections: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    streams: [TcpStream; 2],
    copying: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Forwards connections to this address, from a port of its own.
    ///
    /// # Panics
    ///
    /// When that is no address, or there is no free port.
    #[must_use]
    pub fn to(server: impl ToSocketAddrs) -> Self {
        let port = Reserved::new().expect("a port is free");
        Self::at(port, server)
    }

    pub(crate) fn at(port: Reserved, server: impl ToSocketAddrs) -> Self {
        let addresses = server.to_socket_addrs().ok();
        let server = addresses.and_then(|mut found| found.next());
        let server = server.expect("it is an address");
        let shared = Shared {
            server,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        let mut proxy = Self {
            port,
            shared: Arc::new(shared),
            accepting: None,
        };
        proxy.heal();
        proxy
    }

    /// Where it takes connections; always the same.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.address()
    }

    /// How many connections go through it now.
    #[must_use]
    pub fn connections(&self) -> usize {
        let mut state = self.shared.state();
        state.forget_ended();
        state.connections.len()
    }

    /// Closes all connections, and refuses new ones until it is [healed](Self::heal).
    pub fn cut(&mut self) {
        self.shared.change(|state| state.is_open = false);
        if let Some(accepting) = self.accepting.take() {
            // It sees only then that it is to end.
            drop(TcpStream::connect_timeout(&self.addr(), PATIENCE));
            join(accepting);
        }
        self.close_all();
    }

    /// Closes all connections, those excepted that it has not come to yet; new ones are taken as
    /// before.
    pub fn close_all(&mut self) {
        let mut connections = Vec::new();
        self.shared.change(|state| {
            state.closed += 1;
            connections = std::mem::take(&mut state.connections);
        });
        connections.iter().for_each(Connection::close);
        for copying in connections.into_iter().flat_map(|one| one.copying) {
            join(copying);
        }
    }

    /// Takes connections and forwards nothing any more, in either direction, until it is
    /// [healed](Self::heal); nothing is lost.
    pub fn stall(&mut self) {
        self.shared.change(|state| state.is_stalled = true);
    }

    /// Works again after [`cut`](Self::cut) or [`stall`](Self::stall).
    ///
    /// # Panics
    ///
    /// When somebody else has taken its port meanwhile.
    pub fn heal(&mut self) {
        self.shared.change(|state| {
            state.is_open = true;
            state.is_stalled = false;
        });
        if self.accepting.is_none() {
            let listener = TcpListener::bind(self.addr()).expect("the port is reserved");
            let shared = Arc::clone(&self.shared);
            self.accepting = Some(thread::spawn(move || shared.accept(&listener)));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

fn join(thread: JoinHandle<()>) {
    thread.join().expect("a thread of the proxy does not panic");
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if !self.state().is_open {
                return;
            }
            // Without a server behind it, the client is let go.
            drop(self.connect(client));
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let there = [client.try_clone()?, server.try_clone()?];
        let back = [server.try_clone()?, client.try_clone()?];
        let mut state = self.state();
        state.forget_ended();
        if state.is_open {
            let copying = [there, back].map(|streams| {
                let (shared, closed) = (Arc::clone(self), state.closed);
                // What ends a connection is told by its end.
                thread::spawn(move || drop(shared.copy(streams, closed)))
            });
            state.connections.push(Connection {
                streams: [client, server],
                copying: copying.into(),
            });
        }
        Ok(())
    }

    fn copy(&self, [mut from, mut to]: [TcpStream; 2], closed: u64) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let size = from.read(&mut buffer).unwrap_or(0);
            if self.wait_while_stalled(closed).is_closed_since(closed) {
                return to.shutdown(Shutdown::Both);
            }
            if size == 0 {
                return to.shutdown(Shutdown::Write);
            }
            to.write_all(&buffer[..size])
                .inspect_err(|_| drop(from.shutdown(Shutdown::Both)))?;
        }
    }

    fn wait_while_stalled(&self, closed: u64) -> MutexGuard<'_, State> {
        let is_stalled = |state: &mut State| state.is_stalled && !state.is_closed_since(closed);
        let state = self.changed.wait_while(self.state(), is_stalled);
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn is_closed_since(&self, closed: u64) -> bool {
        !self.is_open || self.closed != closed
    }

    fn forget_ended(&mut self) {
        let goes_on =
            |connection: &Connection| !connection.copying.iter().all(JoinHandle::is_finished);
        self.connections.retain(goes_on);
    }
}

// === impl Connection ===

impl Connection {
    fn close(&self) {
        for stream in &self.streams {
            // It may have ended by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}
