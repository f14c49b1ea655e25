use taskscope::try_join;

async fn part(n: u32) -> Result<u32, std::io::Error> {
    Ok(n)
}

async fn not_a_result() {
    let _ = try_join!(part(1), async { 2 });
}

async fn different() -> Result<(), std::io::Error> {
    try_join!(part(1), async { "2".parse::<u32>() })?;
    Ok(())
}

fn main() {}
