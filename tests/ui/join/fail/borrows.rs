use taskscope::{join, try_join};

async fn push(list: &mut Vec<u32>) -> Result<(), std::io::Error> {
    list.push(1);
    Ok(())
}

async fn function(mut list: Vec<u32>) -> Result<(), std::io::Error> {
    let _both = join!(push(&mut list), push(&mut list));
    try_join!(push(&mut list), async { push(&mut list).await })?;
    Ok(())
}

fn main() {}
