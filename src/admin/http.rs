//! As much of HTTP/1.1 as a scraper needs.

use crate::io::{Piece, Socket};
use bytes::{Bytes, BytesMut};

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 8 * 1024;
/// Header lines at most.
const MAX_HEADERS: usize = 64;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
}

/// Reads the head of a request; `None` if the other end says something else, or nothing.
pub(super) async fn read_head(socket: &Socket) -> Option<Head> {
    let mut buffer = BytesMut::new();
    loop {
        match parse(&buffer) {
            Ok(Some(head)) => return Some(head),
            Ok(None) if buffer.len() < MAX_HEAD => {}
            Ok(None) | Err(()) => return None,
        }
        buffer.reserve(1024);
        if socket.read(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {
            let (method, path) = (request.method.ok_or(())?, request.path.ok_or(())?);
            let path = path.split('?').next().unwrap_or(path);
            Ok(Some(Head { method: method.to_owned(), path: path.to_owned() }))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(()),
    }
}

/// A whole answer, after which the connection ends.
pub(super) fn answer(status: u16, content_type: &str, body: String) -> Vec<Piece> {
    let reason = match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    vec![Piece::Bytes(Bytes::from(head)), Piece::Bytes(Bytes::from(body))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text[..cut]), Ok(None), "{cut}");
        }
        let head = Head { method: "GET".to_owned(), path: "/metrics".to_owned() };
        assert_eq!(parse(text), Ok(Some(head)));
        assert_eq!(parse(b"\x00\x00\x00\x12\x00\x03"), Err(()), "a Kafka client");
    }
}
