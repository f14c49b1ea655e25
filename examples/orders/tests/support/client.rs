//! HTTP, as much as is needed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request and gives the status and the body of the answer.
pub(crate) async fn ask(address: SocketAddr, request: &[u8]) -> io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(request).await?;
    answer(&mut socket).await
}

pub(crate) async fn answer(socket: &mut TcpStream) -> io::Result<(u16, String)> {
    let mut text = String::new();
    socket.read_to_string(&mut text).await?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &request("GET", path, "", "")).await.unwrap()
}

pub(crate) async fn get_json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = get(address, path).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// A number of `/debug/stats`.
pub(crate) async fn stat(address: SocketAddr, name: &str) -> u64 {
    get_json(address, "/debug/stats").await[name]
        .as_u64()
        .unwrap()
}

/// An order of some lines.
pub(crate) fn order(id: &str, customer: &str, lines: usize) -> String {
    let lines: Vec<_> = (0..lines)
        .map(|n| json!({ "item": format!("item {n}"), "quantity": 2, "price": 100 + n % 7 }))
        .collect();
    json!({ "id": id, "customer": customer, "lines": lines }).to_string()
}

/// As many lines as take a while to store.
pub(crate) const LONG: usize = 20_000;

/// Sends a request, all or half of it, and goes away.
pub(crate) async fn cut_off(
    address: SocketAddr,
    request: &[u8],
    length: usize,
    after: Duration,
) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&request[..length]).await?;
    tokio::time::sleep(after).await;
    Ok(())
}
