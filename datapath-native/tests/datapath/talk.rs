//! Servers and clients in namespaces.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::FromRawFd;
use std::thread;
use std::time::Duration;

use crate::netns::Netns;

const LONG: Duration = Duration::from_secs(5);
/// Long enough for a first answer on a busy machine; only what is dropped waits for it.
const SHORT: Duration = Duration::from_millis(700);

/// A time limit on this machine: WEFT_PATIENCE times as long, for machines that are emulated.
pub fn patient(limit: Duration) -> Duration {
    let factor = std::env::var("WEFT_PATIENCE").ok();
    limit * factor.map_or(1, |text| text.parse().expect("WEFT_PATIENCE is a number"))
}

fn any(of: IpAddr, port: u16) -> SocketAddr {
    let any: IpAddr = if of.is_ipv4() { "0.0.0.0" } else { "::" }
        .parse()
        .expect("address");
    SocketAddr::new(any, port)
}

/// Says whom it sees and who it is, then echoes.
pub fn serve_tcp(ns: &Netns, own: IpAddr, port: u16) {
    let listener = ns.run(|| TcpListener::bind((own, port)).expect("bind"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(stream));
        }
    });
}

fn echo(mut stream: TcpStream) -> Option<()> {
    let (peer, own) = (
        stream.peer_addr().ok()?.ip(),
        stream.local_addr().ok()?.ip(),
    );
    let line = format!("{} {}\n", peer.to_canonical(), own.to_canonical());
    stream.write_all(line.as_bytes()).ok()?;
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            n => stream.write_all(&buffer[..n]).ok()?,
        }
    }
}

pub fn connect(ns: &Netns, to: IpAddr, port: u16) -> Result<TcpStream, Error> {
    let stream =
        ns.run(|| TcpStream::connect_timeout(&SocketAddr::new(to, port), patient(SHORT)))?;
    stream.set_read_timeout(Some(patient(LONG)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub fn line(stream: &mut TcpStream) -> Result<String, Error> {
    let (mut text, mut byte) = (String::new(), [0]);
    loop {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(text);
        }
        text.push(char::from(byte[0]));
    }
}

/// One word there and back.
pub fn exchange(stream: &mut TcpStream, word: &str) -> Result<(), Error> {
    stream.write_all(format!("{word}\n").as_bytes())?;
    let back = line(stream)?;
    if back == word {
        Ok(())
    } else {
        Err(Error::other(format!("{back} is not {word}")))
    }
}

/// The address that the server saw.
pub fn ask_tcp(ns: &Netns, to: IpAddr, port: u16) -> Result<String, Error> {
    let mut stream = connect(ns, to, port)?;
    let seen = line(&mut stream)?;
    exchange(&mut stream, "hello")?;
    Ok(seen.split(' ').next().unwrap_or_default().to_owned())
}

pub fn serve_udp(ns: &Netns, own: IpAddr, port: u16) {
    let socket = ns.run(|| UdpSocket::bind((own, port)).expect("bind"));
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(from.ip().to_canonical().to_string().as_bytes(), from);
        }
    });
}

pub fn ask_udp(ns: &Netns, to: IpAddr, port: u16) -> Result<String, Error> {
    let socket = ns.run(|| UdpSocket::bind(any(to, 0)))?;
    socket.set_read_timeout(Some(patient(SHORT)))?;
    socket.connect((to, port))?;
    socket.send(b"who am I")?;
    let mut buffer = [0; 64];
    let n = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

pub fn ping(ns: &Netns, to: IpAddr) -> Result<(), Error> {
    let (family, proto, request, reply) = if to.is_ipv4() {
        (libc::AF_INET, libc::IPPROTO_ICMP, 8, 0)
    } else {
        (libc::AF_INET6, libc::IPPROTO_ICMPV6, 128, 129)
    };
    // SAFETY: no preconditions.
    let fd = ns.run(|| unsafe { libc::socket(family, libc::SOCK_DGRAM, proto) });
    assert!(fd >= 0, "ICMP socket: {}", Error::last_os_error());
    // SAFETY: just made; a datagram socket all the same.
    let socket = unsafe { UdpSocket::from_raw_fd(fd) };
    socket.set_read_timeout(Some(patient(SHORT)))?;
    socket.send_to(&[request, 0, 0, 0, 0, 0, 0, 1, 42], (to, 0))?;
    let mut buffer = [0; 64];
    let (n, from) = socket.recv_from(&mut buffer)?;
    assert_eq!((buffer[0], n, from.ip()), (reply, 9, to));
    Ok(())
}

pub fn timed_out<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|e| [ErrorKind::TimedOut, ErrorKind::WouldBlock].contains(&e.kind()))
}

/// Waits for the reset: None if the stream lives on.
pub fn end_of(stream: &mut TcpStream) -> Option<ErrorKind> {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Some(ErrorKind::UnexpectedEof),
            Ok(_) => {}
            Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {
                return None;
            }
            Err(e) => return Some(e.kind()),
        }
    }
}

/// As it is, past the stack (packet(7)).
pub fn send_frame(device: &str, frame: &[u8]) {
    let name = std::ffi::CString::new(device).expect("name");
    // SAFETY: plain calls of the C library; the address is zeroed and as long as the call is told.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        assert!(fd >= 0, "{}", Error::last_os_error());
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        let sent = libc::sendto(
            fd,
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            size_of_val(&to) as u32,
        );
        assert_eq!(sent, frame.len() as isize, "{}", Error::last_os_error());
        libc::close(fd);
    }
}
