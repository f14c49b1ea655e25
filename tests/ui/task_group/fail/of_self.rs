use taskscope::{BoxError, cancellable, task_group};

struct Server {
    name: String,
}

impl Server {
    #[cancellable]
    async fn worker(&self, number: u32) {
        println!("{} {number}", self.name);
    }

    // `spawn_scoped` may borrow, and so may what has an `Arc` of its own.
    #[cancellable]
    async fn run(&self) -> Result<(), BoxError> {
        task_group!(|g| {
            g.spawn(self.worker(1));
            Ok(())
        })
        .await?;
        Ok(())
    }
}

fn main() {}
