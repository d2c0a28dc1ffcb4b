//! One line of Envoy's access log. What a client sent is in it: every string is bounded, and no query passes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Bytes of a path, and of each other string, at most.
pub const MAX_PATH: usize = 1024;
pub const MAX_TEXT: usize = 256;

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When the request began, ms since the epoch.
    pub time_ms: u64,
    pub listener: u64,
    pub route: String,
    pub method: String,
    pub path: String,
    pub authority: String,
    pub protocol: String,
    /// 0: there was no answer.
    pub status: u16,
    pub flags: String,
    pub details: String,
    pub duration_ms: u64,
    pub received: u64,
    pub sent: u64,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub upstream: Option<SocketAddr>,
    pub user_agent: String,
}

#[derive(Debug, PartialEq)]
pub enum Line {
    Record(Box<Record>),
    /// So many records were dropped before they came here.
    Lost(u64),
    Malformed,
}

pub fn decode(line: &[u8]) -> Line {
    let text = String::from_utf8_lossy(line);
    let Ok(wire) = serde_json::from_str::<Wire>(&text) else {
        return Line::Malformed;
    };
    match wire.lost {
        Some(Number(lost)) => Line::Lost(lost),
        None => record(wire).map_or(Line::Malformed, |record| Line::Record(Box::new(record))),
    }
}

/// The keys of the log's format. Envoy writes null for what a request does not have.
#[derive(Deserialize)]
struct Wire {
    lost: Option<Number>,
    #[serde(default)]
    t: Number,
    #[serde(default)]
    l: Text,
    #[serde(default)]
    r: Text,
    #[serde(default)]
    m: Text,
    #[serde(default)]
    p: Path,
    #[serde(default)]
    a: Text,
    #[serde(default)]
    v: Text,
    #[serde(default)]
    s: Number,
    #[serde(default)]
    f: Text,
    #[serde(default)]
    c: Text,
    #[serde(default)]
    d: Number,
    #[serde(default)]
    rx: Number,
    #[serde(default)]
    tx: Number,
    #[serde(default)]
    src: Text,
    #[serde(default)]
    dst: Text,
    #[serde(default)]
    up: Text,
    #[serde(default)]
    ua: Text,
}

fn record(wire: Wire) -> Option<Record> {
    let upstream = match wire.up.0.as_str() {
        "" => None,
        text => Some(end(text)?),
    };
    Some(Record {
        time_ms: wire.t.0,
        listener: listener(&wire.l.0)?,
        route: wire.r.0,
        method: wire.m.0,
        path: wire.p.0,
        authority: without_user(wire.a.0),
        protocol: wire.v.0,
        status: u16::try_from(wire.s.0).ok()?,
        flags: wire.f.0,
        details: wire.c.0,
        duration_ms: wire.d.0,
        received: wire.rx.0,
        sent: wire.tx.0,
        source: end(&wire.src.0)?,
        destination: end(&wire.dst.0)?,
        upstream,
        user_agent: wire.ua.0,
    })
}

/// `l7/<id as 16 hex digits>`
fn listener(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("l7/")?;
    let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// `10.0.0.1:80` or `[fd00::1]:80`; an IPv4 address in IPv6 is the IPv4 address.
fn end(text: &str) -> Option<SocketAddr> {
    let end: SocketAddr = text.parse().ok()?;
    Some(SocketAddr::new(IpAddr::to_canonical(&end.ip()), end.port()))
}

/// An authority may carry a password.
fn without_user(authority: String) -> String {
    match authority.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => authority,
    }
}

/// At most `max` bytes; a line end, which no header can have, would look like the end of the field.
fn bounded(text: &str, max: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut kept = if text.len() <= max {
        text.to_owned()
    } else {
        let mut at = max - ELLIPSIS.len_utf8();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        format!("{}{ELLIPSIS}", &text[..at])
    };
    if kept.contains('\n') {
        kept = kept.replace('\n', " ");
    }
    kept
}

/// Null and "-" are empty.
#[derive(Default)]
struct Text(String);

/// Ends before a query or fragment.
#[derive(Default)]
struct Path(String);

/// Whole; null is 0.
#[derive(Clone, Copy, Default)]
struct Number(u64);

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(bounded(if text == "-" { "" } else { text }, MAX_TEXT)))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct PathVisitor;

impl Visitor<'_> for PathVisitor {
    type Value = Path;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or null")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Path, E> {
        let plain = text.split(['?', '#']).next().unwrap_or_default();
        Ok(Path(bounded(plain, MAX_PATH)))
    }

    fn visit_unit<E: Error>(self) -> Result<Path, E> {
        Ok(Path::default())
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PathVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, perhaps as a string, or null")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number))
    }

    /// Formats with several parts give strings, as %START_TIME(%s%3f)%.
    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        match text {
            "" | "-" => Ok(Number(0)),
            digits => digits.parse().map(Number).map_err(E::custom),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number(0))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SAMPLE: &str = r#"{"t":1700000000123,"l":"l7/00000000000000ff","r":"CiliumNetworkPolicy/shop/api#ingress[0]","m":"GET","p":"/api/v1/users","a":"api.shop","v":"HTTP/1.1","s":200,"f":null,"c":"via_upstream","d":3,"rx":0,"tx":512,"src":"10.244.0.3:41598","dst":"10.244.1.2:80","up":"10.244.1.2:80","ua":"curl/8.5.0"}"#;

    fn with(from: &str, to: &str) -> Line {
        assert!(SAMPLE.contains(from), "{from}");
        decode(SAMPLE.replace(from, to).as_bytes())
    }

    fn one(line: Line) -> Record {
        match line {
            Line::Record(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_has_all_that_the_format_says() {
        assert_eq!(
            one(decode(SAMPLE.as_bytes())),
            Record {
                time_ms: 1_700_000_000_123,
                listener: 255,
                route: "CiliumNetworkPolicy/shop/api#ingress[0]".to_owned(),
                method: "GET".to_owned(),
                path: "/api/v1/users".to_owned(),
                authority: "api.shop".to_owned(),
                protocol: "HTTP/1.1".to_owned(),
                status: 200,
                flags: String::new(),
                details: "via_upstream".to_owned(),
                duration_ms: 3,
                received: 0,
                sent: 512,
                source: "10.244.0.3:41598".parse().unwrap(),
                destination: "10.244.1.2:80".parse().unwrap(),
                upstream: Some("10.244.1.2:80".parse().unwrap()),
                user_agent: "curl/8.5.0".to_owned(),
            }
        );
    }

    #[test]
    fn neither_query_nor_fragment_nor_password_passes() {
        for tail in ["?token=secret", "#token=secret", "?a#secret"] {
            let path = one(with("/api/v1/users", &format!("/api{tail}"))).path;
            assert_eq!(path, "/api");
        }
        let authority = one(with("\"api.shop\"", "\"me:secret@api.shop\"")).authority;
        assert_eq!(authority, "api.shop");
    }

    #[test]
    fn strings_are_cut_between_characters() {
        let long = "ü".repeat(5000);
        let record = one(with("/api/v1/users", &format!("/{long}")));
        assert!(record.path.len() <= MAX_PATH && record.path.len() > MAX_PATH - 4);
        assert!(record.path.ends_with('…'));
        let agent = one(with("curl/8.5.0", &long)).user_agent;
        assert!(agent.len() <= MAX_TEXT && agent.ends_with('…'));
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        let bytes = SAMPLE.replace("curl/8.5.0", "curl#");
        let bytes: Vec<u8> = bytes
            .bytes()
            .map(|b| if b == b'#' { 0xff } else { b })
            .collect();
        // The rule's name has a # as well.
        let record = one(decode(&bytes));
        assert_eq!(record.user_agent, "curl\u{fffd}");
        assert_eq!(one(with("curl/8.5.0", r"a\nb")).user_agent, "a b");
    }

    #[test]
    fn what_a_request_does_not_have_is_null_and_numbers_may_be_strings() {
        let record = one(with(
            r#""up":"10.244.1.2:80","ua":"curl/8.5.0""#,
            r#""up":null,"ua":null"#,
        ));
        assert_eq!((record.upstream, record.user_agent.as_str()), (None, ""));
        assert_eq!(
            one(with("1700000000123", "\"1700000000123\"")).time_ms,
            1_700_000_000_123
        );
        assert_eq!(
            one(with("10.244.0.3:41598", "[::ffff:10.244.0.3]:1")).source,
            "10.244.0.3:1".parse().unwrap()
        );
    }

    #[test]
    fn what_is_not_a_record_is_malformed() {
        for line in [
            "",
            "x",
            "[]",
            "7",
            "{}",
            "{\"lost\":-1}",
            "{\"lost\":\"x\"}",
        ] {
            assert_eq!(decode(line.as_bytes()), Line::Malformed, "{line}");
        }
        for (from, to) in [
            ("200", "99999"),
            ("200", "-1"),
            ("200", "{}"),
            ("\"GET\"", "7"),
            ("10.244.0.3:41598", "10.244.0.3"),
            ("10.244.1.2:80\",\"up", "somewhere\",\"up"),
            ("l7/00000000000000ff", "l7/+0000000000000ff"),
            ("l7/00000000000000ff", "other"),
        ] {
            assert_eq!(with(from, to), Line::Malformed, "{from} -> {to}");
        }
    }

    #[test]
    fn lost_records_are_counted_where_they_were_lost() {
        assert_eq!(decode(br#"{"lost":17}"#), Line::Lost(17));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release record -- --ignored --nocapture"]
    fn measure_records_that_a_core_decodes() {
        let started = Instant::now();
        let count = 1_000_000_u32;
        let mut bytes = 0;
        for _ in 0..count {
            let record = one(decode(SAMPLE.as_bytes()));
            bytes += record.path.len();
        }
        let seconds = started.elapsed().as_secs_f64();
        println!("{:.0} records/s ({bytes})", f64::from(count) / seconds);
    }
}
