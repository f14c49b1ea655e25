#![deny(warnings)]

use taskscope::{BoxError, cancellable, task_group};

mod task {
    pub fn spawn(n: u32) -> u32 {
        n
    }
}

fn spawn(n: u32) -> u32 {
    n
}

async fn function() -> Result<u32, BoxError> {
    let n = task_group!(|g| {
        let inner = g.clone();
        // Closures may be for another thread.
        let blocking = g.spawn_blocking(|| std::fs::metadata(".").map(|_| 1));
        let spawned = inner.spawn(async { Ok::<_, BoxError>(2) });
        Ok(spawn(1) + self::task::spawn(2) + blocking.await? + spawned.await?)
    })
    .await?;
    Ok(n)
}

// Declared in the module, around the function whose group uses it.
#[cancellable]
mod annotated {
    use std::time::Duration;
    use taskscope::{BoxError, task_group};

    mod task {
        pub fn spawn(n: u32) -> u32 {
            n
        }
    }

    struct JoinSet;

    impl JoinSet {
        fn new() -> u32 {
            2
        }
    }

    macro_rules! select {
        (biased; $n:ident = $value:expr => $then:expr) => {{
            let $n = $value;
            $then
        }};
    }

    fn spawn(n: u32) -> u32 {
        n
    }

    fn timeout(_: Duration, n: &mut u32) -> u32 {
        *n + 1
    }

    fn leave() -> ! {
        std::process::exit(1)
    }

    pub async fn names(r#type: u32) -> Result<u32, BoxError> {
        let n = task_group!(|_| {
            let mut sum = spawn(task::spawn(1)) + JoinSet::new();
            sum += select! { biased; n = 3 => n };
            let inner = task_group!(|g| {
                let task = g.spawn_scoped(async move { Value(task::spawn(r#type)) });
                let late = timeout(Duration::ZERO, &mut 4);
                if sum == 0 {
                    loop {
                        leave();
                    }
                }
                Ok(task.await? + late)
            });
            Ok(sum + inner.await?)
        });
        Ok(n.await?)
    }

    use taskscope::Value;
}

// Declared in the function.
#[cancellable]
async fn inside() -> Result<u32, BoxError> {
    use self::task as thread;

    fn timeout_at(_: u32, n: &mut u32) -> u32 {
        *n
    }
    let n = task_group!(|_| Ok(thread::spawn(1) + timeout_at(1, &mut 2)));
    Ok(n.await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(function().await.unwrap(), 6);
    assert_eq!(annotated::names(7).await.unwrap(), 1 + 2 + 3 + 7 + 5);
    assert_eq!(inside().await.unwrap(), 3);
}
