//! The real Envoy behind the programs: WEFT_ENVOY names it. Its configuration is a small one by hand; that of the operator
//! is tested where it is made.

use std::io::{Error, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, ip};
use crate::layout::*;
use crate::netns::Netns;
use crate::require_root;
use crate::talk::{connect, patient};

const CLIENT: u64 = 21;
const SERVER: u64 = 22;
const SERVER_SET: u64 = 0x40 | 1;
const PORT: u16 = 20_001;

/// GET may pass, anything else is refused.
const CONFIG: &str = r#"
static_resources:
  listeners:
  - name: l7
    address: { socket_address: { address: "::", port_value: 20001, ipv4_compat: true } }
    transparent: true
    enable_reuse_port: false
    listener_filters:
    - name: original_dst
      typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst }
    - name: original_src
      typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc, mark: 2 }
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l7
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: "/", headers: [{ name: ":method", string_match: { exact: GET } }] }
                route: { cluster: origin }
              - match: { prefix: "/" }
                direct_response: { status: 403 }
          http_filters:
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: origin
    type: ORIGINAL_DST
    lb_policy: CLUSTER_PROVIDED
"#;

struct Envoy {
    child: Child,
    config: PathBuf,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Returns when it listens.
fn start(program: &str, ns: &Netns) -> Envoy {
    let config = std::env::temp_dir().join(format!("weft-envoy-{}.yaml", std::process::id()));
    std::fs::write(&config, CONFIG).expect("a configuration");
    let child = ns
        .command(program)
        .arg("--config-path")
        .arg(&config)
        .args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ])
        .stdin(Stdio::null())
        .spawn()
        .expect("Envoy starts");
    let mut envoy = Envoy { child, config };
    let end = Instant::now() + patient(Duration::from_secs(20));
    while connect(ns, ip("127.0.0.1"), PORT).is_err() {
        let ended = envoy.child.try_wait().expect("a child");
        assert_eq!(ended, None, "Envoy ended");
        assert!(Instant::now() < end, "Envoy does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    envoy
}

/// Answers each request with the address that it came from.
fn serve_http(ns: &Netns, own: IpAddr) {
    let listener = ns.run(|| TcpListener::bind((own, 80)).expect("bind"));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = answer(&mut stream);
        }
    });
}

fn answer(stream: &mut TcpStream) -> Result<(), Error> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&buffer[..n]),
        }
    }
    let peer = stream.peer_addr()?.ip().to_canonical().to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}",
        peer.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{peer}").as_bytes())
}

/// (status, body)
fn request(ns: &Netns, to: IpAddr, method: &str) -> Result<(String, String), Error> {
    let mut stream = connect(ns, to, 80)?;
    let head = "HTTP/1.1\r\nhost: server\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{method} /pets {head}").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

#[test]
fn envoy_judges_each_request_and_the_server_sees_the_client() {
    require_root!();
    let Ok(program) = std::env::var("WEFT_ENVOY") else {
        crate::netns::skip("WEFT_ENVOY does not name Envoy's program");
        return;
    };
    let mut c = Cluster::new(1);
    let client = c.nodes[0].pod(3, 0, CLIENT);
    let server = c.nodes[0].pod(4, SERVER_SET, SERVER);
    let proxy = c.nodes[0].proxy_pod(5);
    c.nodes[0]
        .programs
        .policy_proxy(SERVER_SET, CLIENT, INGRESS, 80, 5, PORT);
    let _envoy = start(&program, &proxy.ns);
    for (own, to) in [(client.v4, server.v4), (client.v6, server.v6)] {
        serve_http(&server.ns, to);
        let allowed = request(&client.ns, to, "GET").expect("an answer");
        assert_eq!(allowed, ("200".to_owned(), own.to_string()));
        let refused = request(&client.ns, to, "POST").expect("an answer");
        assert_eq!(refused.0, "403");
    }
}
