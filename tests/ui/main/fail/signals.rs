use std::future::pending;
use taskscope::{BoxError, cancellable, defer, race, task_group};
use tokio::signal;

#[taskscope::main]
async fn in_a_race() -> Result<(), BoxError> {
    race! {
        () = pending() => {}
        _ = tokio::signal::ctrl_c() => println!("bye"),
    }
    Ok(())
}

#[taskscope::main]
#[cancellable]
async fn rewritten_below() {
    use tokio::signal::ctrl_c;
    let interrupted = async { ctrl_c().await.unwrap() };
    interrupted.await;
}

#[cancellable]
#[taskscope::main]
async fn rewritten_above() {
    defer! { println!("bye"); }
    let stopped = task_group!(|g| {
        g.spawn(async {
            signal::ctrl_c().await.unwrap();
        });
        Ok(())
    });
    stopped.await.unwrap();
}

#[taskscope::main]
async fn by_kind() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    signal(SignalKind::hangup())?.recv().await;
    terminate.recv().await;
    Ok(())
}

#[taskscope::main(allow(signal))]
async fn near() {}

#[taskscope::main(allow(detached))]
async fn of_another_attribute() {}

#[taskscope::main(allow)]
async fn without_a_check() {}

#[cancellable(allow(signals))]
async fn of_main() {}

fn main() {
    in_a_race().unwrap();
    rewritten_below();
    rewritten_above();
    by_kind().unwrap();
    near();
    of_another_attribute();
    without_a_check();
    drop(of_main());
}
