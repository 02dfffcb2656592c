//! Bodies pass through as they come, in both directions, and no faster than they are taken.

use std::io::{BufReader, Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::client::{Client, chunk, head};
use crate::upstream::{Upstream, ok, reply};
use crate::world::{With, World, route};

const HOST: &str = "host: api.production.localhost\r\n";

fn world(upstream: &Upstream) -> World {
    let world = World::new();
    world.apply(&route(1, 1).stable(1, 100, &[upstream.address]));
    world
}

#[test]
fn a_chunk_is_echoed_before_the_next_is_sent() {
    let upstream = Upstream::raw(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.get_mut().write_all(answer).unwrap();
        while let Some(bytes) = chunk(&mut stream).unwrap() {
            let text = String::from_utf8(bytes).unwrap();
            write!(stream.get_mut(), "{:x}\r\n{text}\r\n", text.len()).unwrap();
        }
        stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
    });
    let world = world(&upstream);
    let mut client = world.client();
    let request = format!("POST / HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n");
    client.send(request.as_bytes()).unwrap();
    client.send(b"5\r\nfirst\r\n").unwrap();
    let (line, _) = head(&mut client.stream).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK");
    assert_eq!(chunk(&mut client.stream).unwrap().unwrap(), b"first");
    client.send(b"6\r\nsecond\r\n").unwrap();
    assert_eq!(chunk(&mut client.stream).unwrap().unwrap(), b"second");
    client.send(b"0\r\n\r\n").unwrap();
    assert_eq!(chunk(&mut client.stream).unwrap(), None);
}

#[test]
fn large_bodies_arrive_whole() {
    let upstream = Upstream::start(|request| ok(&"y".repeat(request.body.len())));
    let world = world(&upstream);
    let mut client = world.client();
    for size in [1, 70_000, 20_000_000] {
        let answer = client.post("/", &vec![b'x'; size]);
        assert_eq!((answer.status, answer.body.len()), (200, size));
        assert!(answer.body.iter().all(|byte| *byte == b'y'));
    }
}

#[test]
fn an_endpoint_that_does_not_read_stops_the_client() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::raw(move |stream| {
        wait.lock().unwrap().recv().unwrap();
        let mut stream = BufReader::new(stream);
        let (_, headers) = head(&mut stream).unwrap();
        let body = crate::client::body(&mut stream, &headers).unwrap();
        stream.get_mut().write_all(&reply(200, &body.len().to_string())).unwrap();
    });
    let world = world(&upstream);
    let mut client = world.client();
    let total: usize = 256 << 20;
    let request = format!("POST / HTTP/1.1\r\n{HOST}content-length: {total}\r\n\r\n");
    client.send(request.as_bytes()).unwrap();
    client.stream.get_ref().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < total {
        match client.stream.get_mut().write(&block) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    // What the sockets' buffers hold, and not the body.
    assert!(sent < 64 << 20, "{sent} bytes were taken and nobody read one");
    go_on.send(()).unwrap();
    client.stream.get_ref().set_write_timeout(None).unwrap();
    while sent < total {
        sent += client.stream.get_mut().write(&block[..block.len().min(total - sent)]).unwrap();
    }
    assert_eq!(client.reply(false).unwrap().text(), total.to_string());
}

#[test]
fn a_client_that_does_not_read_stops_the_endpoint() {
    let (told, tell) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let total: usize = 256 << 20;
    let upstream = Upstream::raw(move |stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        stream.get_ref().set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        let block = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while let Ok(count) = stream.get_mut().write(&block) {
            sent += count;
        }
        told.lock().unwrap().send(sent).unwrap();
    });
    let world = world(&upstream);
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes()).unwrap();
    let sent = tell.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken and nobody read one");
    // What was sent until then still arrives, then the end that is too early.
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(rest.len() < total);
}

#[test]
fn who_expects_to_be_told_to_go_on_is_told() {
    let upstream = Upstream::start(|request| {
        assert_eq!(request.header("expect"), None);
        ok(std::str::from_utf8(&request.body).unwrap())
    });
    let world = world(&upstream);
    let mut client = world.client();
    let request =
        format!("POST / HTTP/1.1\r\n{HOST}expect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    let go_on = client.raw(&request);
    assert_eq!(go_on.status, 100);
    client.send(b"body").unwrap();
    assert_eq!(client.reply(false).unwrap().text(), "body");
}

#[test]
fn an_answer_that_breaks_off_is_not_made_whole() {
    let upstream = Upstream::raw(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream).unwrap();
        let start = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
        stream.get_mut().write_all(start).unwrap();
    });
    let world = world(&upstream);
    let mut client = Client::connect(world.address());
    assert!(client.request("GET", "/", b"").is_err());
    let stats = world.stats();
    let revision = stats.revisions.values().next().unwrap();
    assert_eq!((revision.requests, revision.broken), (1, 1));
}

#[test]
fn a_length_stays_a_length_both_ways() {
    for text in ["", "END", &"x".repeat(100_000)] {
        let (told, tell) = mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let upstream = Upstream::start(move |request| {
            let length = request.header("content-length").map(str::to_owned);
            let chunks = request.header("transfer-encoding").map(str::to_owned);
            told.lock().unwrap().send((length, chunks)).unwrap();
            ok(std::str::from_utf8(&request.body).unwrap())
        });
        let world = world(&upstream);
        let mut client = world.client();
        let length = text.len().to_string();
        let head = format!("POST / HTTP/1.1\r\n{HOST}content-length: {length}\r\n\r\n");
        for _ in 0..2 {
            client.send(head.as_bytes()).unwrap();
            client.send(text.as_bytes()).unwrap();
            let reply = client.reply(false).unwrap();
            assert_eq!(tell.recv().unwrap(), (Some(length.clone()), None));
            assert_eq!(reply.header("content-length"), Some(length.as_str()));
            assert_eq!(reply.header("transfer-encoding"), None);
            assert_eq!(reply.text(), text);
        }
    }
}
