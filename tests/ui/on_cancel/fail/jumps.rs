use taskscope::{cancellable, on_cancel};

async fn discard() -> std::io::Result<()> {
    Ok(())
}

#[cancellable]
async fn function() -> std::io::Result<()> {
    'parts: for part in 0..3 {
        on_cancel! {
            match part {
                0 => return Ok(()),
                1 => continue 'parts,
                2 => break,
                _ => discard().await?,
            }
        }
        discard().await?;
    }
    Ok(())
}

fn main() {}
