async fn serve(port: u16) -> String {
    port.to_string()
}

#[taskscope::main(flavor = "current_thread")]
async fn main() {
    let text: String = serve(8080).await;
    text.
}
