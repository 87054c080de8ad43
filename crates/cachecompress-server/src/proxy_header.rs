//! The header of HAProxy's PROXY protocol, versions 1 and 2, by which a proxy names its client.
//!
//! It comes before all other bytes of a connection, TLS's too. It is looked at before it is taken
//! from the socket, so that no byte behind it is ever read here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use tokio::io::AsyncReadExt as _;

use crate::limits::PROXY_LINE_BYTES;
use crate::peer::ClientAddress;
use crate::transport::Transport;

/// The bytes that begin a header of version 1.
const LINE_START: &[u8] = b"PROXY ";
/// The bytes that begin a header of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of version 2 before the addresses: the signature, command, family and length.
const FIXED_BYTES: usize = SIGNATURE.len() + 4;

/// The beginning of a connection, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// It may become a header. All of these bytes are part of it.
    Partial,
    /// A header of `len` bytes. `client` is `None` where the proxy speaks for itself, or does not
    /// know.
    Header { len: usize, client: Option<ClientAddress> },
    /// No header.
    Malformed,
}

/// Takes the header from the beginning of `transport`, and nothing else. Returns the client that it
/// names, if it names one.
///
/// # Errors
///
/// If the connection begins otherwise, or ends before the header does.
pub(crate) async fn read(transport: &mut Transport) -> io::Result<Option<ClientAddress>> {
    let mut header = Vec::new();
    let mut piece = [0; 512];
    loop {
        let seen = transport.peek(&mut piece).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = header.len();
        header.extend_from_slice(&piece[..seen]);
        let client = match beginning(&header) {
            Beginning::Malformed => return Err(io::ErrorKind::InvalidData.into()),
            Beginning::Partial => None,
            Beginning::Header { len, client } => {
                header.truncate(len);
                Some(client)
            }
        };
        transport.read_exact(&mut header[taken..]).await?;
        if let Some(client) = client {
            return Ok(client);
        }
    }
}

fn beginning(bytes: &[u8]) -> Beginning {
    let may_be = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if may_be(LINE_START) {
        line(bytes)
    } else if may_be(SIGNATURE) {
        binary(bytes)
    } else {
        Beginning::Malformed
    }
}

/// Reads version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn line(bytes: &[u8]) -> Beginning {
    let within = &bytes[..bytes.len().min(PROXY_LINE_BYTES)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() < PROXY_LINE_BYTES {
            true => Beginning::Partial,
            false => Beginning::Malformed,
        };
    };
    let client = std::str::from_utf8(&bytes[..end]).ok().and_then(client_of_line);
    client.map_or(Beginning::Malformed, |client| Beginning::Header { len: end + 2, client })
}

/// The client that a line names. `Some(None)`: the proxy does not know it.
fn client_of_line(line: &str) -> Option<Option<ClientAddress>> {
    let mut words = line.split(' ').skip(1);
    let client = match words.next()? {
        "UNKNOWN" => return Some(None),
        "TCP4" => source::<Ipv4Addr>(&mut words)?,
        "TCP6" => source::<Ipv6Addr>(&mut words)?,
        _ => return None,
    };
    let is_port = |word: &str| {
        word.bytes().all(|byte| byte.is_ascii_digit())
            && (word == "0" || !word.starts_with('0'))
            && word.parse::<u16>().is_ok()
    };
    let ports = is_port(words.next()?) && is_port(words.next()?);
    (ports && words.next().is_none()).then_some(Some(client))
}

/// The first of two addresses.
fn source<'w, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'w str>,
) -> Option<ClientAddress> {
    let mut address = || words.next()?.parse::<A>().ok();
    let (source, _destination) = (address()?, address()?);
    Some(source.into().into())
}

/// Reads version 2: the signature, a command, an address family, a length, and so many bytes.
fn binary(bytes: &[u8]) -> Beginning {
    let Some((fixed, addresses)) = bytes.split_at_checked(FIXED_BYTES) else {
        return Beginning::Partial;
    };
    let [version_and_command, family, high, low] = fixed[SIGNATURE.len()..] else {
        return Beginning::Malformed;
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Beginning::Malformed,
    };
    // Each with the bytes of two addresses and their ports, but for a path, which has none.
    let needed = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Beginning::Malformed,
    };
    if announced < needed && !is_local {
        return Beginning::Malformed;
    }
    let Some(addresses) = addresses.get(..announced) else { return Beginning::Partial };
    let client = match (family >> 4, addresses.first_chunk(), addresses.first_chunk()) {
        _ if is_local => None,
        (1, Some(v4), _) => Some(IpAddr::from(<[u8; 4]>::clone(v4)).into()),
        (2, _, Some(v6)) => Some(IpAddr::from(<[u8; 16]>::clone(v6)).into()),
        (3, ..) => Some(ClientAddress::Unix),
        _ => None,
    };
    Beginning::Header { len: FIXED_BYTES + announced, client }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn names(client: &str, len: usize) -> Beginning {
        let client = Some(client.parse::<IpAddr>().unwrap().into());
        Beginning::Header { len, client }
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &len, addresses].concat()
    }

    #[test]
    fn line_names_the_client() {
        let v4 = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(beginning(v4), names("192.0.2.1", 45));
        let v6 = b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n";
        assert_eq!(beginning(v6), names("2001:db8::1", v6.len()));
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f::f \u{e9} 1\r\n"] {
            let header = Beginning::Header { len: unknown.len(), client: None };
            assert_eq!(beginning(unknown.as_bytes()), header);
        }
    }

    #[test]
    fn malformed_line_is_no_header() {
        for bad in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY\r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n",
            "PROXY TCP4 ::1 ::1 1 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
        ] {
            assert_eq!(beginning(bad.as_bytes()), Beginning::Malformed, "{bad:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        assert_eq!(beginning(long.as_bytes()), Beginning::Malformed);
        assert_eq!(beginning(&long.as_bytes()[..106]), Beginning::Partial);
    }

    #[test]
    fn binary_header_names_the_client() {
        let mut v4 = v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 1, 1, 1, 1, 0x04, 0, 1, 9]);
        assert_eq!(beginning(&v4), names("192.0.2.1", 32));
        v4.extend(b"GET /");
        assert_eq!(beginning(&v4), names("192.0.2.1", 32), "what follows is not read");
        let v6 = [&[0xfd; 16][..], &[0; 20]].concat();
        assert_eq!(beginning(&v2(0x21, 0x21, &v6)), names(&"fdfd:".repeat(8)[..39], 52));
        let unix = Beginning::Header { len: 232, client: Some(ClientAddress::Unix) };
        assert_eq!(beginning(&v2(0x21, 0x31, &[0; 216])), unix);
        for local in [v2(0x20, 0, b""), v2(0x20, 0x11, &[9; 12]), v2(0x21, 0, &[1; 7])] {
            assert_eq!(beginning(&local), Beginning::Header { len: local.len(), client: None });
        }
    }

    #[test]
    fn malformed_binary_header_is_none() {
        for bad in [
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x13, &[0; 12]),
        ] {
            assert_eq!(beginning(&bad), Beginning::Malformed, "{bad:?}");
        }
    }

    /// A whole header of either version, and its client.
    fn header() -> impl Strategy<Value = (Vec<u8>, Option<IpAddr>)> {
        let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
        let v6 = any::<[u8; 16]>().prop_map(IpAddr::from);
        let extra = prop::collection::vec(any::<u8>(), 0..600);
        (prop_oneof![v4, v6], any::<u16>(), extra, 0..4).prop_map(|(ip, port, extra, form)| {
            let (family, word, octets) = match ip {
                IpAddr::V4(v4) => (0x11, "TCP4", v4.octets().to_vec()),
                IpAddr::V6(v6) => (0x21, "TCP6", v6.octets().to_vec()),
            };
            let addresses = [&octets[..], &octets, &[0; 4], &extra].concat();
            match form {
                0 => (format!("PROXY {word} {ip} {ip} {port} 80\r\n").into_bytes(), Some(ip)),
                1 => (b"PROXY UNKNOWN\r\n".to_vec(), None),
                2 => (v2(0x21, family, &addresses), Some(ip)),
                _ => (v2(0x20, family, &extra), None),
            }
        })
    }

    proptest! {
        #[test]
        fn header_is_found_however_it_arrives((header, client) in header(), more: [u8; 3]) {
            for len in 0..header.len() {
                prop_assert_eq!(beginning(&header[..len]), Beginning::Partial);
            }
            let whole = Beginning::Header { len: header.len(), client: client.map(Into::into) };
            prop_assert_eq!(beginning(&header), whole);
            prop_assert_eq!(beginning(&[&header[..], &more].concat()), whole);
        }

        #[test]
        fn damaged_header_is_read_within_its_bytes(
            (mut header, _) in header(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            let at = at.index(header.len());
            header[at] = byte;
            header.truncate(cut.index(header.len()) + 1);
            if let Beginning::Header { len, .. } = beginning(&header) {
                prop_assert!(len <= header.len());
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [SIGNATURE, &bytes].concat();
            let _ = beginning(&bytes);
        }
    }

    /// A header in pieces, with a request right behind it.
    #[tokio::test]
    async fn bytes_behind_the_header_stay_in_the_socket() {
        let addresses = [&[192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 2000]].concat();
        for header in [v2(0x21, 0x11, &addresses), b"PROXY TCP4 192.0.2.7 1.1.1.1 1 1\r\n".into()] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut transport = Transport::from(listener.accept().await.unwrap().0);
            let sent = [&header[..], b"GET"].concat();
            let writer = tokio::spawn(async move {
                for piece in sent.chunks(7) {
                    client.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client
            });
            let named = read(&mut transport).await.unwrap();
            assert_eq!(named, Some(IpAddr::from([192, 0, 2, 7]).into()));
            drop(writer.await.unwrap());
            let mut rest = String::new();
            transport.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "GET");
        }
    }

    #[tokio::test]
    async fn connection_without_a_header_is_an_error() {
        for sent in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"PROXY TCP4 192.0.2.7"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut transport = Transport::from(listener.accept().await.unwrap().0);
            client.write_all(sent).await.unwrap();
            client.shutdown().await.unwrap();
            assert!(read(&mut transport).await.is_err());
        }
    }
}
