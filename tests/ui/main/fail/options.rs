use std::time::Duration;

#[taskscope::main(flavour = "current_thread")]
async fn near() {}

#[taskscope::main(flavor = "single_thread")]
async fn flavor() {}

#[taskscope::main(flavor = 1)]
async fn flavor_is_number() {}

#[taskscope::main(flavor = "current_thread", worker_threads = 2)]
async fn workers() {}

#[taskscope::main(start_paused = true)]
async fn of_test() {}

#[taskscope::main(grace = 5)]
async fn seconds() {}

#[taskscope::main(worker_threads = Duration::ZERO)]
async fn threads() {}

#[taskscope::main(grace)]
async fn no_value() {}

#[taskscope::main(drain = Duration::ZERO, drain = Duration::ZERO, quick)]
async fn twice() {}

fn main() {
    near();
    flavor();
    flavor_is_number();
    workers();
    of_test();
    seconds();
    threads();
    no_value();
    twice();
}
