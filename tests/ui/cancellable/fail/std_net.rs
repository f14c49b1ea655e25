use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use taskscope::cancellable;

#[cancellable]
async fn function(address: &SocketAddr, limit: Duration) -> io::Result<()> {
    drop(std::net::TcpListener::bind(address)?);
    drop(std::net::TcpStream::connect(address)?);
    drop(std::net::TcpStream::connect_timeout(address, limit)?);
    drop(std::net::UdpSocket::bind("127.0.0.1:0")?);
    std::net::ToSocketAddrs::to_socket_addrs("localhost:80")?;
    Ok(())
}

fn main() {}
