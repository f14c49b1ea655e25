use taskscope::cancellable;
use tokio::sync::{Mutex, RwLock, mpsc};

#[cancellable]
async fn channels(send: mpsc::Sender<u32>, mut receive: mpsc::Receiver<u32>) {
    send.blocking_send(1).unwrap();
    let number = receive.blocking_recv();
    println!("{number:?}");
}

struct State {
    log: Mutex<Vec<u32>>,
    config: RwLock<u32>,
}

#[cancellable]
async fn locks(state: &State) {
    state.log.blocking_lock().push(1);
    *state.config.blocking_write() += *state.config.blocking_read();
}

fn main() {}
