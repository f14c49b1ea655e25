#![deny(warnings, clippy::pedantic)]

use taskscope::{cancellable, task_group};

#[cancellable]
async fn labels(numbers: &[u32]) -> u32 {
    let mut sum = 0;
    #[checkpoint]
    'rows: for n in numbers {
        #[checkpoint]
        while sum < *n {
            sum += 1;
            if sum == 7 {
                continue 'rows;
            }
        }
        if sum > 100 {
            break 'rows;
        }
    }
    sum
}

#[cancellable]
async fn values(mut n: u64) -> u64 {
    let power = #[checkpoint]
    loop {
        n *= 2;
        if n > 1000 {
            break n;
        }
    };
    let_it_be(power).await
}

async fn let_it_be(n: u64) -> u64 {
    n
}

// The body of a group is part of the function, and so are its loops.
#[cancellable(loops)]
async fn in_a_group(numbers: &[u32]) -> Result<u32, taskscope::BoxError> {
    let sum = task_group!(|g| {
        let sum = g.spawn_scoped(async {
            let mut sum = 0;
            for n in numbers {
                sum += n;
            }
            taskscope::Value(sum)
        });
        Ok(sum.await?)
    })
    .await?;
    Ok(sum)
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(labels(&[]));
    is_send(values(1));
    is_send(in_a_group(&[]));
}
