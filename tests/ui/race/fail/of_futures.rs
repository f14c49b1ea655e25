use taskscope::race;

async fn one() -> u32 {
    1
}

async fn completes() -> u32 {
    race! {
        n = one() => n,
        complete => 0,
    }
}

async fn polls_once() -> u32 {
    race! {
        n = one() => n,
        default => 0,
    }
}

fn main() {
    drop((completes(), polls_once()));
}
