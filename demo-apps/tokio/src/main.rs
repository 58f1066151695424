//! GET /call?id=N&how=direct|sleep|spawn|after calls UPSTREAM/echo with that id: at once, after a timer, from a task of its own,
//! or only when the answer is out. PORT; THREADS=1 is the runtime of one thread, which has no name of its own. BEAT=1 asks the
//! upstream every millisecond, for nobody.

use axum::{extract::Query, routing::get, Router};
use std::time::Duration;

#[derive(serde::Deserialize)]
struct Call {
    id: String,
    how: String,
}

fn env(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

async fn echo(client: reqwest::Client, id: String) -> String {
    let url = format!("{}/echo?id={id}&delay=10", env("UPSTREAM", ""));
    match client.get(url).send().await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

async fn call(client: reqwest::Client, Query(call): Query<Call>) -> String {
    let number: u64 = call.id.parse().unwrap_or_default();
    let pause = Duration::from_millis(5 + number % 7 * 5);
    match call.how.as_str() {
        "spawn" => tokio::spawn(echo(client, call.id)).await.unwrap_or_default(),
        "after" => {
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                echo(client, call.id).await
            });
            "later".to_owned()
        }
        how => {
            if how == "sleep" {
                tokio::time::sleep(pause).await;
            }
            echo(client, call.id).await
        }
    }
}

async fn serve() -> std::io::Result<()> {
    let client = reqwest::Client::builder()
        .user_agent("tokio-server/1")
        .danger_accept_invalid_certs(env("INSECURE", "") == "1")
        .build()
        .map_err(std::io::Error::other)?;
    if env("BEAT", "") == "1" {
        let client = client.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                echo(client.clone(), "beat".to_owned()).await;
            }
        });
    }
    let app = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/call", get(move |query| call(client.clone(), query)));
    let address = format!("127.0.0.1:{}", env("PORT", "8080"));
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await
}

fn main() -> std::io::Result<()> {
    let mut builder = match env("THREADS", "2").as_str() {
        "1" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()?.block_on(serve())
}
