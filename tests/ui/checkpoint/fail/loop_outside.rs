use taskscope::checkpoint;

fn sum(numbers: &[u64]) -> u64 {
    let mut sum = 0;
    #[checkpoint]
    for number in numbers {
        sum += number;
    }
    sum
}

fn main() {
    sum(&[]);
}
