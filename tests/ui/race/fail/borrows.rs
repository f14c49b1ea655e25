use std::future::ready;
use taskscope::race;

async fn push(list: &mut Vec<u32>) {
    list.push(1);
}

// Both futures exist at once.
async fn twice(mut list: Vec<u32>) {
    race! {
        () = push(&mut list) => {}
        () = push(&mut list) => {}
    }
}

// A handler runs when the futures are gone, so that this one is right, and its own
// mistake is the only one.
async fn in_handler(mut list: Vec<u32>) -> usize {
    race! {
        () = push(&mut list) => list.len(),
        n = ready(1) => list,
    }
}

fn main() {}
