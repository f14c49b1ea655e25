use taskscope::cancellable;

#[cancellable]
async fn both(numbers: &mut [u32]) {
    #[checkpoint]
    #[no_checkpoint]
    for n in numbers {
        *n += 1;
    }
}

#[cancellable]
async fn twice(numbers: &mut [u32]) {
    #[checkpoint]
    #[checkpoint]
    for n in numbers {
        *n += 1;
    }
}

#[cancellable]
async fn with_a_value(numbers: &mut [u32]) {
    #[checkpoint(100)]
    for n in numbers.iter_mut() {
        *n += 1;
    }
    #[checkpoint = 100]
    for n in numbers {
        *n += 1;
    }
}

fn main() {
    drop((both(&mut []), twice(&mut []), with_a_value(&mut [])));
}
