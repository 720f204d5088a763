//! The yardstick of the load benchmarks: a closed-loop client of the standard library alone, one thread, epoll, user-space clocks.
//!
//! Build: rustc -O -C target-cpu=native client.rs -o /tmp/client        Run: /tmp/client PORT STREAMS REQUESTS
//! It stamps each read, splits events, and counts those with content: the least that any client must do. One JSON line comes out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    what: u32,
    who: u64,
}

#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(set: i32, action: i32, fd: i32, event: *mut Event) -> i32;
    fn epoll_wait(set: i32, events: *mut Event, most: i32, patience_ms: i32) -> i32;
    fn clock_gettime(clock: i32, time: *mut Time) -> i32;
}

fn clock(which: i32) -> u64 {
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(which, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

fn now() -> u64 {
    clock(1)
}

struct Stream {
    socket: TcpStream,
    sent: u64,
    last: u64,
    rest: Vec<u8>,
}

#[derive(Default)]
struct Found {
    first: Vec<u64>,
    gaps: Vec<u64>,
    done: usize,
}

fn has(event: &[u8], word: &[u8]) -> bool {
    event.windows(word.len()).any(|piece| piece == word)
}

/// Take what was read at this moment; whether the stream is over.
fn take(stream: &mut Stream, data: &[u8], at: u64, found: &mut Found) -> bool {
    let mut joined = std::mem::take(&mut stream.rest);
    joined.extend_from_slice(data);
    let (mut place, mut over) = (0, false);
    while let Some(end) = joined[place..].windows(2).position(|pair| pair == b"\n\n") {
        let event = &joined[place..place + end];
        place += end + 2;
        if has(event, b"\"content\":\"") {
            if stream.last == 0 { found.first.push(at - stream.sent) } else { found.gaps.push(at - stream.last) }
            stream.last = at;
        } else if event.ends_with(b"[DONE]") {
            over = true;
        }
    }
    if !over {
        stream.rest = joined[place..].to_vec();
    }
    over
}

fn rank(values: &mut [u64], share: f64) -> f64 {
    values.sort_unstable();
    if values.is_empty() { return -1.0 }
    values[((values.len() as f64 * share) as usize).min(values.len() - 1)] as f64 / 1e6
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (port, streams, total): (u16, usize, usize) = (words[1].parse().unwrap(), words[2].parse().unwrap(), words[3].parse().unwrap());
    let body = "{\"model\":\"mock\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"stream\":true,\"max_tokens\":64}";
    let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}", body.len(), body);
    let set = unsafe { epoll_create1(0) };
    let mut all: Vec<Stream> = (0..streams).map(|who| {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut event = Event { what: 1, who: who as u64 };
        unsafe { epoll_ctl(set, 1, socket.as_raw_fd(), &mut event) };
        Stream { socket, sent: 0, last: 0, rest: vec![] }
    }).collect();
    let (start, cpu) = (now(), clock(2));
    let (mut sent, mut found) = (0, Found::default());
    for stream in all.iter_mut().take(total) {
        stream.sent = now();
        stream.socket.write_all(request.as_bytes()).unwrap();
        sent += 1;
    }
    let (mut events, mut buffer) = (vec![Event { what: 0, who: 0 }; 512], vec![0u8; 65536]);
    while found.done < total {
        let count = unsafe { epoll_wait(set, events.as_mut_ptr(), 512, 10_000) };
        for event in &events[..count.max(0) as usize] {
            let stream = &mut all[event.who as usize];
            let Ok(size) = stream.socket.read(&mut buffer) else { continue };
            if !take(stream, &buffer[..size], now(), &mut found) { continue }
            found.done += 1;
            stream.last = 0;
            if sent < total {
                sent += 1;
                stream.sent = now();
                stream.socket.write_all(request.as_bytes()).unwrap();
            }
        }
    }
    let (elapsed, used) = ((now() - start) as f64 / 1e9, (clock(2) - cpu) as f64 / 1e9);
    let chunks = found.first.len() + found.gaps.len();
    let (mut warm_first, mut warm_gaps) = (found.first[streams.min(found.first.len() - 1)..].to_vec(), found.gaps.clone());
    println!(
        "{{\"rate\":{:.3},\"ttft_p50\":{:.4},\"ttft_p99\":{:.4},\"itl_p50\":{:.4},\"itl_p99\":{:.4},\"cpu_ms_per_1000\":{:.3}}}",
        total as f64 / elapsed, rank(&mut warm_first, 0.5), rank(&mut warm_first, 0.99), rank(&mut warm_gaps, 0.5), rank(&mut warm_gaps, 0.99),
        used * 1e6 / chunks as f64
    );
}
