use std::sync::Mutex;
use taskscope::cancellable;

// A checkpoint awaits, and the guard of a lock may not be held across an await.
#[cancellable]
async fn adds(log: &Mutex<Vec<u32>>) {
    let mut numbers = log.lock().unwrap();
    #[checkpoint]
    for n in 0..100 {
        numbers.push(n);
    }
}

#[cancellable(loops)]
async fn adds_in_a_while(log: &Mutex<Vec<u32>>) {
    let mut numbers = log.lock().unwrap();
    while numbers.len() < 100 {
        numbers.push(1);
    }
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    let log = Mutex::new(Vec::new());
    is_send(adds(&log));
    is_send(adds_in_a_while(&log));
}
