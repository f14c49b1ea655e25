#[taskscope::test]
fn plain() {}

#[taskscope::test]
async fn arguments(n: u32) {
    drop(n);
}

#[taskscope::test]
async fn generic<T>() {}

#[taskscope::test]
mod module {}

#[taskscope::test]
#[test]
async fn with_test() {}

#[taskscope::test]
#[tokio::test]
async fn with_tokio() {}

#[tokio::test]
#[taskscope::test]
async fn below_tokio() {}

#[taskscope::test(flavor = "multi-thread")]
async fn flavor() {}

#[taskscope::test(worker_threads = 2)]
async fn one_thread() {}

#[taskscope::test(flavor = "multi_thread", start_paused = true)]
async fn not_paused() {}

#[taskscope::test(start_pause = true, grace = std::time::Duration::ZERO)]
async fn unknown() {}

fn main() {}
