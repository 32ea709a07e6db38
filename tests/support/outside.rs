//! A server outside of the host, for what drivers ask of others.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

/// Notes what it is asked; what it answers is named by the path.
pub struct Outside {
    /// With 127.0.0.1 as its host.
    pub url: String,
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Outside {
    pub async fn start() -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(answer).with_state(asked.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url: format!("http://127.0.0.1:{port}"), port, asked, server }
    }

    /// What it was asked since the last look: method, path, authorization and body.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(asked): State<Arc<Mutex<Vec<String>>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(to_bytes(body, 2 << 20).await.unwrap().to_vec()).unwrap();
    let authorization = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    asked.lock().unwrap().push(format!("{} {path} {authorization} {body}", parts.method));
    let to = |location: &str| (StatusCode::FOUND, [("location", location.to_owned())]).into_response();
    match parts.uri.path() {
        "/echo" => format!("you said {authorization} {body}").into_response(),
        "/rest" => format!("no account {}", authorization.split_once(' ').map_or("", |(_, rest)| rest)).into_response(),
        "/packed" => ([("content-encoding", "gzip")], vec![0x1f_u8, 0x8b]).into_response(),
        "/encoding" => parts.headers.get("accept-encoding").map_or("", |value| value.to_str().unwrap()).to_owned().into_response(),
        "/bytes" => vec![0xff_u8, 0x01].into_response(),
        "/larger" => vec![b'x'; (1 << 20) + 1].into_response(),
        "/teapot" => (StatusCode::IM_A_TEAPOT, "short and stout").into_response(),
        "/to-plain" => to("/plain"),
        "/to-metadata" => to("http://169.254.169.254/latest/meta-data"),
        "/to-loopback" => to("http://127.0.0.2:9/"),
        "/to-host" => to(parts.headers.get("x-host").map_or("/", |value| value.to_str().unwrap())),
        _ => "plain".into_response(),
    }
}
