use std::io;

#[taskscope::main]
async fn no_tail() -> io::Result<()> {
    std::future::ready(()).await;
}

#[taskscope::main]
async fn no_type() {
    std::future::ready(io::Result::Ok(())).await?;
}

#[taskscope::main]
async fn wrong_tail() -> io::Result<()> {
    std::future::ready(()).await
}

#[taskscope::main]
async fn main() -> u32 {
    1
}
