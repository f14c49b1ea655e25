#![deny(unused_must_use)]

use taskscope::{join, try_join};

async fn part() -> Result<u32, std::io::Error> {
    Ok(1)
}

async fn function() {
    try_join!(part(), part());
    join!(part(), async { part() });
}

fn main() {}
