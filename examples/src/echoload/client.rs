//! One client: what it sends, and what it makes of the answers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use taskscope::{cancellable, race};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Semaphore;

use super::{End, How};

/// The most that is sent at a time.
const LARGEST: usize = 8 << 10;

/// The most that is sent and not answered yet. Without a bound it would be the system's, which is megabytes.
const WINDOW: usize = 64 << 10;

/// Talks until the connection ends.
#[cancellable]
pub(super) async fn talk(server: SocketAddr, number: usize) -> io::Result<End> {
    let mut end = End {
        client: None,
        how: How::Refused,
        sent: 0,
        answered: 0,
    };
    let Ok(mut socket) = TcpStream::connect(server).await else {
        return Ok(end);
    };
    end.client = socket.local_addr().ok();
    let talked = if number.is_multiple_of(4) {
        stream(&mut socket, &mut end, number).await
    } else {
        ask(&mut socket, &mut end, number).await
    };
    end.how = match talked {
        Ok(()) => How::Closed,
        Err(error) if error.kind() == ErrorKind::InvalidData => return Err(error),
        Err(_) => How::Reset,
    };
    Ok(end)
}

/// Asks, waits for the whole answer, and asks again.
#[cancellable]
async fn ask(socket: &mut TcpStream, end: &mut End, number: usize) -> io::Result<()> {
    let (mut reader, mut writer) = socket.split();
    for length in lengths(number) {
        send(&mut writer, &mut end.sent, length, number).await?;
        while end.answered < end.sent {
            if receive(&mut reader, &mut end.answered, number).await? == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Sends and receives, and does not wait for one answer before it asks again.
#[cancellable]
async fn stream(socket: &mut TcpStream, end: &mut End, number: usize) -> io::Result<()> {
    let (mut reader, mut writer) = socket.split();
    let (sent, answered) = (&mut end.sent, &mut end.answered);
    let window = Semaphore::new(WINDOW);
    let sends = async {
        for length in lengths(number) {
            let room = window.acquire_many(length as u32).await;
            room.expect("nobody closes it").forget();
            send(&mut writer, sent, length, number).await?;
        }
        Ok(())
    };
    let receives = async {
        loop {
            match receive(&mut reader, answered, number).await? {
                0 => return Ok(()),
                read => window.add_permits(read),
            }
        }
    };
    race! {
        ended = receives => ended,
        Err(error) = sends => Err(error),
    }
}

#[cancellable]
async fn send(
    writer: &mut WriteHalf<'_>,
    sent: &mut usize,
    length: usize,
    number: usize,
) -> io::Result<()> {
    let message: Vec<u8> = (*sent..*sent + length).map(|at| byte(number, at)).collect();
    writer.write_all(&message).await?;
    *sent += length;
    Ok(())
}

/// Takes what has arrived, as many bytes as it says; 0 at the end.
#[cancellable]
async fn receive(
    reader: &mut ReadHalf<'_>,
    answered: &mut usize,
    number: usize,
) -> io::Result<usize> {
    let mut answer = [0; LARGEST];
    let read = reader.read(&mut answer).await?;
    for (at, byte_read) in answer[..read].iter().enumerate() {
        if *byte_read != byte(number, *answered + at) {
            return Err(io::Error::new(ErrorKind::InvalidData, "a wrong answer"));
        }
    }
    *answered += read;
    Ok(read)
}

/// What client `number` sends at place `at`.
fn byte(number: usize, at: usize) -> u8 {
    (number.wrapping_mul(31) + at.wrapping_mul(7) + at / 251) as u8
}

/// The lengths of what it sends, without an end.
fn lengths(number: usize) -> impl Iterator<Item = usize> {
    (1..).map(move |round: usize| 1 + (number * 7919 + round * round * 104_729) % LARGEST)
}
