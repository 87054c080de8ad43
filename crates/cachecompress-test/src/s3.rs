//! A client of S3, which puts, damages and deletes the objects of a store beside the server under test.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::client::{Connection, Request, Response};

/// The region that every store of the tests has.
pub const REGION: &str = "us-east-1";

/// The bucket of a store, with the right to do anything to it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// The address of the store.
    pub store: SocketAddr,
    /// The bucket's name.
    pub name: String,
    /// The key of the identity that asks.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl Bucket {
    /// Makes the bucket.
    ///
    /// # Panics
    ///
    /// If the store refuses.
    pub fn create(&self) {
        self.succeeds("PUT", "", "", b"");
    }

    /// The keys that begin with `prefix`, up to a thousand, sorted.
    ///
    /// # Panics
    ///
    /// If the store does not tell.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let query = format!("list-type=2&prefix={}", prefix.replace('/', "%2F"));
        let answer = self.succeeds("GET", "", &query, b"");
        let text = String::from_utf8(answer.decoded()).unwrap();
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        let mut keys: Vec<_> = keys.map(|(key, _)| key.to_owned()).collect();
        keys.sort();
        keys
    }

    /// The bytes of an object.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    #[must_use]
    pub fn read(&self, key: &str) -> Vec<u8> {
        self.succeeds("GET", key, "", b"").decoded()
    }

    /// Puts an object.
    ///
    /// # Panics
    ///
    /// If the store refuses.
    pub fn write(&self, key: &str, bytes: &[u8]) {
        self.succeeds("PUT", key, "", bytes);
    }

    /// Puts an empty object, and deletes it. Returns whether the store took it.
    ///
    /// # Panics
    ///
    /// If the store does not answer.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        let is_taken = self.ask("PUT", key, "", b"").unwrap().status() < 300;
        if is_taken {
            self.delete(key);
        }
        is_taken
    }

    /// Deletes an object, if there is one.
    ///
    /// # Panics
    ///
    /// If the store refuses.
    pub fn delete(&self, key: &str) {
        self.succeeds("DELETE", key, "", b"");
    }

    fn succeeds(&self, method: &str, key: &str, query: &str, body: &[u8]) -> Response {
        let answer = self.ask(method, key, query, body).unwrap();
        let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).into_owned();
        assert!(answer.status() < 300, "{method} {}/{key}: {:?} {text}", self.name, answer.head);
        answer
    }

    fn ask(&self, method: &str, key: &str, query: &str, body: &[u8]) -> std::io::Result<Response> {
        let path = format!("/{}{}{key}", self.name, if key.is_empty() { "" } else { "/" });
        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = Request::new(method, &format!("{path}{separator}{query}"));
        for (name, value) in self.signed(method, &path, query) {
            request = request.header(&name, &value);
        }
        let request = request.header("content-length", &body.len().to_string());
        let mut connection = Connection::open(self.store)?;
        connection.send(&request)?;
        connection.send_raw(body)?;
        connection.receive(method)
    }

    /// The fields that sign a request, by Amazon's "Signature Version 4".
    fn signed(&self, method: &str, path: &str, query: &str) -> [(String, String); 3] {
        let time = basic_time(SystemTime::now());
        let day = &time[..8];
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{time}\n\n\
             host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD",
            self.store
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let digest = hex(&Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let first = format!("AWS4{}", self.secret_key).into_bytes();
        let key = [day, REGION, "s3", "aws4_request"];
        let key = key.iter().fold(first, |key, part| mac(&key, part.as_bytes()));
        let signature = hex(&mac(&key, text.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature={signature}",
            self.access_key
        );
        [
            ("x-amz-date".into(), time),
            ("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into()),
            ("authorization".into(), authorization),
        ]
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A time as `20261130T085526Z`.
fn basic_time(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let text = httpdate::fmt_http_date(time);
    let words: Vec<&str> = text.split(' ').collect();
    let month = MONTHS.find(words[2]).unwrap() / 3 + 1;
    format!("{}{month:02}{}T{}Z", words[3], words[1], words[4].replace(':', ""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_has_the_basic_form_of_iso_8601() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_029_000);
        assert_eq!(basic_time(time), "20261130T085640Z");
    }
}
