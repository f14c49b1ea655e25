use taskscope::cancellable;

#[cancellable]
async fn field(text: String) {
    text.
}

fn main() {
    drop(field(String::new()));
}
