use taskscope::cancellable;

async fn part(n: u32) -> Result<u32, std::io::Error> {
    Ok(n)
}

#[cancellable]
async fn function() -> Result<u32, std::io::Error> {
    let (a, b) = tokio::try_join!(part(1), part(2))?;
    let (c, d) = futures::try_join!(part(3), async { part(4).await })?;
    Ok(a + b + c + d)
}

fn main() {}
