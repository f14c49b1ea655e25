use taskscope::join;

async fn part(n: u32) -> u32 {
    n
}

async fn not_a_future() {
    join!(part(1), 2);
}

async fn number_of_values() {
    let (_a, _b) = join!(part(1), part(2), part(3));
}

fn main() {}
