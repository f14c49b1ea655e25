use taskscope::{BoxError, Group, TaskGroup, cancellable, task_group};

async fn work() -> Result<u32, BoxError> {
    Ok(1)
}

// The type parameter's default is not taken where a type is inferred.
#[cancellable]
async fn no_error_type() -> Result<(), BoxError> {
    TaskGroup::new()
        .run(async |g| {
            g.spawn(work());
            Ok(())
        })
        .await?;
    Ok(())
}

// The macro tells a block its error where it is written in the call.
#[cancellable]
async fn named_before() -> Result<(), BoxError> {
    task_group!(|g| {
        let job = async {
            work().await?;
            Ok(())
        };
        g.spawn(job);
        Ok(())
    })
    .await?;
    Ok(())
}

// A group that comes as an argument is not known to the macro.
fn group_from_outside(g: &Group<'_>) {
    g.spawn(async {
        work().await?;
        Ok(())
    });
}

fn main() {}
