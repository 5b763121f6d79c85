//! An address: where a broker is to be asked, as `HOST:PORT`, and what answers there. What can be no address is refused
//! before anything is asked; and where no broker answers, it is found out whether something else does.

use super::error::KafkaError;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What librdkafka takes before an address; it is the setting `security.protocol`.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
/// Where Kafka listens unless it is told otherwise.
const USUAL_PORT: &str = "9092";
/// How long whoever answers may take to connect, and then to say something.
const PATIENCE: Duration = Duration::from_secs(1);
/// A question that every server of HTTP answers, and that one of TLS refuses in the words of TLS.
const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// The beginning of a conversation in TLS 1.2: no extensions, one cipher.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03................................\x00\x00\x02\x00\x2f\x01\x00";

fn addresses(brokers: &str) -> impl Iterator<Item = &str> {
    brokers.split(',').map(str::trim).filter(|one| !one.is_empty())
}

/// Refuses `brokers` of which one is written as no address can be.
pub(super) fn refuse_others(brokers: &str) -> Result<(), KafkaError> {
    for given in addresses(brokers) {
        let (scheme, rest) = given.split_once("://").unwrap_or(("plaintext", given));
        let is_kafka = PROTOCOLS.iter().any(|protocol| protocol.eq_ignore_ascii_case(scheme));
        if !is_kafka || rest.contains(['/', '@', '?', '#', ' ']) || !has_port(rest) {
            return Err(KafkaError::NoAddress { given: given.to_owned(), instead: address_in(scheme, rest) });
        }
    }
    Ok(())
}

/// Whether what follows the host is a port, or nothing.
fn has_port(address: &str) -> bool {
    let after_host = address.rfind(']').map_or(address, |end| &address[end + 1..]);
    match after_host.split_once(':') {
        // An IPv6 address that stands bare.
        Some((_, more)) if more.contains(':') => true,
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => true,
    }
}

/// The address that was meant, as far as one can tell. The port of a web address is that of something else.
fn address_in(scheme: &str, rest: &str) -> String {
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let place = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    let host = place.split(':').next().unwrap_or_default();
    let is_web = ["http", "https", "ws", "wss"].iter().any(|web| web.eq_ignore_ascii_case(scheme));
    match host {
        "" => format!("localhost:{USUAL_PORT}"),
        _ if !is_web && place != host && has_port(place) => place.to_owned(),
        host => format!("{host}:{USUAL_PORT}"),
    }
}

/// What answers at all of these addresses, where something does and is no broker for a client that speaks TLS, or does
/// not.
pub(super) fn strangers(brokers: &str, speaks_tls: bool) -> Option<KafkaError> {
    let found: Vec<(&str, Stranger)> = addresses(brokers)
        .map_while(|one| Some((one, Stranger::at(one).filter(|who| who.is_final(speaks_tls))?)))
        .collect();
    let (address, who) = *found.first().filter(|_| found.len() == addresses(brokers).count())?;
    let (address, what) = (address.to_owned(), who.what());
    Some(KafkaError::NoKafka { address, what })
}

/// Something that answers and is no broker that takes plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    Http,
    Tls,
}

impl Stranger {
    fn at(address: &str) -> Option<Stranger> {
        let address = address.split_once("://").map_or(address, |(_, rest)| rest);
        Stranger::of(&said(address, GET)?).or_else(|| Stranger::of(&said(address, CLIENT_HELLO)?))
    }

    fn of(said: &[u8]) -> Option<Stranger> {
        match said {
            [b'H', b'T', b'T', b'P', ..] => Some(Stranger::Http),
            // An alert, or a handshake.
            [0x15 | 0x16, 3, ..] => Some(Stranger::Tls),
            _ => None,
        }
    }

    /// A client that speaks TLS may talk to it.
    fn is_final(self, speaks_tls: bool) -> bool {
        self == Stranger::Http || !speaks_tls
    }

    fn what(self) -> &'static str {
        match self {
            Stranger::Http => "an HTTP server answers there, no Kafka broker: give the port of Kafka itself",
            Stranger::Tls => {
                "it speaks TLS, and this client does not: give the port for plain text, or set the Kafka property \
                 security.protocol=ssl"
            }
        }
    }
}

/// The first bytes of the answer to `question`; `None` where nobody is there. Who hangs up has said nothing.
fn said(address: &str, question: &[u8]) -> Option<Vec<u8>> {
    let place = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(question).ok()?;
    let mut first = [0; 8];
    let read = stream.read(&mut first).unwrap_or(0);
    Some(first[..read].to_vec())
}

/// Why the name by which a broker wants to be asked leads nowhere; `None` where it leads somewhere.
pub(super) fn unresolved(host: &str, port: u16) -> Option<String> {
    (host, port).to_socket_addrs().err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_and_others_are_refused_with_what_was_meant() {
        for brokers in
            ["localhost", "a:9092,b:9093", " a:1 , ,b", "[::1]:9092", "::1", "PLAINTEXT://a:9092", "10.0.0.1:1"]
        {
            assert_eq!(refuse_others(brokers), Ok(()), "{brokers}");
        }
        for (given, meant) in [
            ("kafka://broker:9094", "broker:9094"),
            ("tcp://u:p@broker:9094/x", "broker:9094"),
            ("kafka://broker", "broker:9092"),
            ("http://broker:8080/", "broker:9092"),
            ("https://", "localhost:9092"),
            ("broker:9092/topic", "broker:9092"),
            ("broker:kafka", "broker:9092"),
            ("broker:0", "broker:9092"),
            ("broker:99999", "broker:9092"),
        ] {
            let instead = meant.to_owned();
            let refused = KafkaError::NoAddress { given: given.to_owned(), instead };
            assert_eq!(refuse_others(&format!("a:1,{given}")), Err(refused), "{given}");
        }
    }

    #[test]
    fn the_first_bytes_tell_who_answers() {
        assert_eq!(CLIENT_HELLO.len(), 5 + 0x2d);
        assert_eq!(Stranger::of(b"HTTP/1.1"), Some(Stranger::Http));
        assert_eq!(Stranger::of(b"\x15\x03\x03\x00\x02"), Some(Stranger::Tls));
        assert_eq!((Stranger::of(b""), Stranger::of(b"\x00\x00\x00\x1a")), (None, None));
    }
}
