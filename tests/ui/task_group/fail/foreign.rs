use taskscope::cancellable;

mod missing {
    #[taskscope::cancellable]
    pub(crate) async fn not_imported() {
        task_group!(|_| Ok(())).await.unwrap();
    }
}

macro_rules! task_group {
    ($($body:tt)*) => {
        std::future::ready($($body)*)
    };
}

#[cancellable]
async fn of_the_crate() {
    task_group!(|n: u32| n + 1).await;
}

fn main() {}
