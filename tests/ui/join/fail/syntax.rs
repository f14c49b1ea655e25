use std::future::ready;
use taskscope::{join, try_join};

async fn no_comma() {
    join!(ready(1) ready(2));
}

async fn half_typed(text: String) {
    try_join!(ready(Ok::<_, ()>(1)), text.);
}

fn main() {}
