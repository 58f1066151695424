//! Gets each URL of its arguments, one after the other with one client, and prints the bodies.

#[tokio::main]
async fn main() -> Result<(), reqwest::Error> {
    let client = reqwest::Client::builder().user_agent("fetch/1").build()?;
    for url in std::env::args().skip(1) {
        let body = client
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        print!("{body}");
    }
    Ok(())
}
