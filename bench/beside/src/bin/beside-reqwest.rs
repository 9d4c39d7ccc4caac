//! Transfers by reqwest, one after the other: `beside-reqwest download|upload 1|2 URL CA FILE LOADS`. Prints the least
//! seconds of a load by the wall and of the processor, and KiB resident.
//!
//! As its documentation shows it, but for files: those are read and written in place, which is faster than tokio's.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Certificate, Client};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [mode, http, url, ca, path, loads] = &arguments[..] else {
        panic!("beside-reqwest download|upload 1|2 URL CA FILE LOADS")
    };
    let loads: usize = loads.parse().expect("a number of loads");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ca = Certificate::from_pem(&std::fs::read(ca).expect("the authority")).expect("the authority");
        let mut client = Client::builder().no_proxy().tls_certs_only([ca]);
        if http == "1" {
            client = client.http1_only();
        }
        let client = client.build().expect("a client");
        let (mut wall, mut cpu) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..loads {
            if mode == "download" {
                // That costs time which is not this load's.
                let _ = std::fs::remove_file(path);
            }
            let (start, used) = (Instant::now(), cpu_seconds());
            match mode.as_str() {
                "download" => download(&client, url, path).await,
                _ => upload(&client, url, path).await,
            }
            wall = wall.min(start.elapsed().as_secs_f64());
            cpu = cpu.min(cpu_seconds() - used);
        }
        println!("{wall} {cpu} {}", peak_rss_kib());
    });
}

async fn download(client: &Client, url: &str, path: &str) {
    let response = client.get(url).send().await.expect("a response");
    assert!(response.status().is_success());
    let mut file = File::create(path).expect("the file");
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        file.write_all(&chunk.expect("the body")).expect("writing");
    }
}

async fn upload(client: &Client, url: &str, path: &str) {
    let file = File::open(path).expect("the file");
    let length = file.metadata().expect("its length").len();
    let body = Body::wrap_stream(stream::iter(chunks(file)));
    let request = client.post(url).header("content-length", length).body(body);
    let response = request.send().await.expect("a response");
    assert_eq!(response.text().await.expect("an answer"), length.to_string());
}

/// Of all threads.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn chunks(mut file: File) -> impl Iterator<Item = std::io::Result<Bytes>> {
    std::iter::from_fn(move || {
        let mut chunk = vec![0; 256 * 1024];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => {
                chunk.truncate(n);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        }
    })
}

fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
