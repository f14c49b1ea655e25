#![allow(unreachable_code, unused_labels)]

use taskscope::{BoxError, cancellable, defer, task_group};

async fn close() {}

#[cancellable]
async fn rounds(mut left: u32) -> Result<(), BoxError> {
    'rounds: loop {
        left -= 1;
        task_group!(|g| {
            g.spawn(close());
            if left == 0 {
                break;
            }
            match left {
                1 => continue,
                2 => break 'rounds,
                _ => {}
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn nested() -> Result<u32, BoxError> {
    let found = 'found: {
        task_group!(|_g| {
            defer! { close().await; }
            for n in 0..9 {
                if n == 7 {
                    break 'found n;
                }
            }
            Ok(0)
        })
        .await?
    };
    Ok(found)
}

fn main() {
    drop((rounds(3), nested()));
}
