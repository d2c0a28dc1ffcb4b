//! A stand-in for Envoy: transparent on both sides as Envoy is set up, it decides nothing and passes bytes on.

use std::io::Error;
use std::mem::size_of_val;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::netns::Netns;

fn option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) {
    // SAFETY: the value outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as u32,
        )
    };
    assert_eq!(result, 0, "{level} {name}: {}", Error::last_os_error());
}

/// (bytes of a sockaddr, their number)
fn socket_address(at: SocketAddr) -> (libc::sockaddr_storage, u32) {
    // SAFETY: plain old data.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    match at {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is larger and aligned.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            (storage, size_of_val(&raw) as u32)
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: 0,
            };
            // SAFETY: the storage is larger and aligned.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            (storage, size_of_val(&raw) as u32)
        }
    }
}

/// To the server, from the client's address and a port of the kernel's choice.
fn dial(client: IpAddr, server: SocketAddr, stage: u32) -> Result<TcpStream, Error> {
    let family = if client.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: no preconditions.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "{}", Error::last_os_error());
    // SAFETY: just made.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    let (level, transparent) = match client {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
    };
    option(&stream, level, transparent, 1);
    option(&stream, libc::SOL_SOCKET, libc::SO_MARK, stage as i32);
    option(
        &stream,
        libc::IPPROTO_IP,
        libc::IP_BIND_ADDRESS_NO_PORT,
        1,
    );
    let (from, length) = socket_address(SocketAddr::new(client, 0));
    // SAFETY: an address of that length.
    let bound = unsafe { libc::bind(fd, (&raw const from).cast(), length) };
    assert_eq!(bound, 0, "bind: {}", Error::last_os_error());
    let (to, length) = socket_address(server);
    // SAFETY: an address of that length.
    match unsafe { libc::connect(fd, (&raw const to).cast(), length) } {
        0 => Ok(stream),
        _ => Err(Error::last_os_error()),
    }
}

/// A proxy as Envoy is set up: transparent on both sides. Counts its connections.
pub fn serve_proxy(ns: &Netns, port: u16, stage: u32) -> Arc<AtomicUsize> {
    serve(ns, port, stage, None)
}

/// `to`: where all connections go; None: where their clients wanted to.
pub fn serve(ns: &Netns, port: u16, stage: u32, to: Option<SocketAddr>) -> Arc<AtomicUsize> {
    let listener = ns.run(|| TcpListener::bind(("::", port)).expect("bind"));
    option(&listener, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1);
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let path = ns.path();
    thread::spawn(move || {
        crate::netns::join(&path);
        for client in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::SeqCst);
            let path = path.clone();
            thread::spawn(move || {
                crate::netns::join(&path);
                pass_on(client, stage, to)
            });
        }
    });
    count
}

fn pass_on(client: TcpStream, stage: u32, to: Option<SocketAddr>) -> Option<()> {
    let peer = client.peer_addr().ok()?.ip().to_canonical();
    let meant = client.local_addr().ok()?;
    let meant = to.unwrap_or(SocketAddr::new(meant.ip().to_canonical(), meant.port()));
    let server = dial(peer, meant, stage).ok()?;
    let (mut from_client, mut to_client) = (client.try_clone().ok()?, client);
    let (mut from_server, mut to_server) = (server.try_clone().ok()?, server);
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut from_client, &mut to_server);
    let _ = to_server.shutdown(std::net::Shutdown::Write);
    back.join().ok()
}

pub fn seen(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}
