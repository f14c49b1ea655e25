use taskscope::{cancellable, checkpoint};

#[cancellable]
async fn in_closure(numbers: &[u32]) -> u32 {
    let sum = || {
        let mut sum = 0;
        #[checkpoint]
        for n in numbers {
            sum += n;
        }
        sum
    };
    sum()
}

#[checkpoint]
fn on_function() {}

fn main() {
    drop(in_closure(&[]));
    on_function();
}
