use taskscope::{cancellable, defer};

async fn close() -> Result<u32, std::io::Error> {
    Ok(1)
}

#[cancellable]
async fn by_return(open: bool) -> u32 {
    defer! {
        if !open {
            return;
        }
        drop(close().await);
    }
    1
}

#[cancellable]
async fn by_question_mark() -> Result<u32, std::io::Error> {
    defer! {
        let n = close().await?;
        println!("{}", n + close().await?);
    }
    Ok(1)
}

#[cancellable]
async fn by_jumps() {
    'outer: for i in 0..3 {
        defer! {
            if i == 1 {
                continue;
            }
            if i == 2 {
                break 'outer;
            }
            drop(close().await);
        }
        drop(close().await);
    }
}

fn main() {
    drop((by_return(true), by_question_mark(), by_jumps()));
}
