use std::time::Duration;
use taskscope::{cancellable, join};

async fn part(n: u32) -> Result<u32, std::io::Error> {
    Ok(n)
}

#[cancellable]
async fn function() -> Result<(), std::io::Error> {
    let _ = join!(part(1), tokio::spawn(part(2)));
    let _ = taskscope::try_join!(part(3), async {
        std::thread::sleep(Duration::ZERO);
        part(4).await
    })?;
    let _ = tokio::join!(part(5), async { tokio::time::timeout(Duration::ZERO, part(6)).await });
    Ok(())
}

fn main() {}
