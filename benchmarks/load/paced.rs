//! The calibrated server of the load benchmarks: std only, one thread, every chunk at its own absolute deadline.
//!
//! Build: rustc -O -C target-cpu=native paced.rs -o /tmp/paced        Run: /tmp/paced --port 8100 --ttft-ms 50 --itl-ms 10 --tokens 64
//! The first content chunk is due --ttft-ms after the request's last byte was read, the n-th --itl-ms * n later. Usage, [DONE] and
//! the last chunk of the framing go out with the last content chunk. GET /stats says how late writes were and when requests came;
//! GET /reset forgets. --stall-at S --stall-for S: once, S seconds after the first request since the reset, the server does nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

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
    fn epoll_pwait2(set: i32, events: *mut Event, most: i32, patience: *const Time, mask: *const u8) -> i32;
    fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    fn prctl(option: i32, a: u64, b: u64, c: u64, d: u64) -> i32;
    fn listen(fd: i32, backlog: i32) -> i32;
}

const READABLE: u32 = 1;
const ADD: i32 = 1;
const MONOTONIC: i32 = 1;
const CPU: i32 = 2;
const TIMER_SLACK: i32 = 29;
const LISTENER: u64 = u64::MAX;

fn clock(which: i32) -> u64 {
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(which, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

fn now() -> u64 {
    clock(MONOTONIC)
}

fn option(name: &str, default: f64) -> f64 {
    let words: Vec<String> = std::env::args().collect();
    let place = words.iter().position(|word| word == name);
    place.map_or(default, |at| words[at + 1].parse().expect("a number"))
}

struct Pace {
    ttft: u64,
    itl: u64,
    tokens: u64,
    stall_at: u64,
    stall_for: u64,
}

struct Peer {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    stream: u64,
    next: u64,
    began: u64,
    number: u64,
}

#[derive(Default)]
struct Record {
    late: Vec<u64>,
    arrivals: Vec<u64>,
    done: u64,
    last_done: u64,
    in_flight: i64,
    most_in_flight: i64,
    connections: u64,
    aborted: u64,
    stall: (u64, u64),
    cpu: u64,
}

impl Record {
    fn fresh(in_flight: i64) -> Record {
        Record { in_flight, cpu: clock(CPU), ..Record::default() }
    }

    fn json(&mut self) -> String {
        self.late.sort_unstable();
        let rank = |share: f64| match self.late.len() {
            0 => 0.0,
            n => self.late[((n as f64 * share) as usize).min(n - 1)] as f64 / 1e6,
        };
        let arrivals: Vec<String> = self.arrivals.iter().map(u64::to_string).collect();
        format!(
            "{{\"requests\":{},\"done\":{},\"writes\":{},\"late_p50_ms\":{:.4},\"late_p99_ms\":{:.4},\"late_max_ms\":{:.4},\"last_done\":{},\"cpu_s\":{:.4},\"most_in_flight\":{},\"connections\":{},\"aborted\":{},\"stall\":[{},{}],\"arrivals\":[{}]}}",
            self.arrivals.len(), self.done, self.late.len(), rank(0.5), rank(0.99), rank(1.0), self.last_done,
            (clock(CPU) - self.cpu) as f64 / 1e9, self.most_in_flight, self.connections, self.aborted, self.stall.0, self.stall.1, arrivals.join(",")
        )
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|piece| piece.eq_ignore_ascii_case(word))
}

/// Length of the first whole request in the buffer and the length of its head.
fn request(input: &[u8]) -> Option<(usize, usize)> {
    let head = find(input, b"\r\n\r\n")? + 4;
    let size = find(&input[..head], b"\r\ncontent-length:").map_or(0, |at| {
        let rest = &input[at + 17..head];
        let end = rest.iter().position(|byte| *byte == b'\r').unwrap_or(rest.len());
        std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    });
    (input.len() >= head + size).then_some((head + size, head))
}

fn framed(output: &mut Vec<u8>, event: &str) {
    write!(output, "{:x}\r\n{}\r\n", event.len(), event).unwrap();
}

/// What the next write of a stream holds.
fn chunk(peer: &mut Peer, pace: &Pace) {
    let last = peer.next + 1 == pace.tokens;
    if peer.next == 0 {
        peer.output.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    }
    let base = format!("data: {{\"id\":\"chatcmpl-{:016x}\",\"object\":\"chat.completion.chunk\",\"created\":1763700000,\"model\":\"mock\",\"choices\":[", peer.number);
    let role = if peer.next == 0 { "\"role\":\"assistant\"," } else { "" };
    let finish = if last { "\"length\"" } else { "null" };
    framed(&mut peer.output, &format!("{base}{{\"index\":0,\"delta\":{{{role}\"content\":\"tok \"}},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"));
    if last {
        let usage = format!("\"usage\":{{\"prompt_tokens\":16,\"completion_tokens\":{},\"total_tokens\":{}}}", pace.tokens, 16 + pace.tokens);
        framed(&mut peer.output, &format!("{base}],{usage}}}\n\n"));
        framed(&mut peer.output, "data: [DONE]\n\n");
        peer.output.extend_from_slice(b"0\r\n\r\n");
    }
    peer.next += 1;
}

fn json(socket: &mut TcpStream, body: &str) {
    let _ = socket.set_nonblocking(false);
    let _ = write!(socket, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}", body.len(), body);
    let _ = socket.set_nonblocking(true);
}

struct Server {
    pace: Pace,
    set: i32,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(u64, usize, u64)>>,
    record: Record,
    numbers: u64,
}

impl Server {
    fn new(port: u16, pace: Pace) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        listener.set_nonblocking(true).unwrap();
        let set = unsafe { epoll_create1(0) };
        let mut event = Event { what: READABLE, who: LISTENER };
        unsafe {
            listen(listener.as_raw_fd(), 4096);
            epoll_ctl(set, ADD, listener.as_raw_fd(), &mut event);
            prctl(TIMER_SLACK, 1, 0, 0, 0);
        }
        Server { pace, set, listener, peers: vec![], free: vec![], due: BinaryHeap::new(), record: Record::fresh(0), numbers: 0 }
    }

    fn run(&mut self) {
        let mut events = vec![Event { what: 0, who: 0 }; 1024];
        loop {
            self.stall();
            let wait = self.due.peek().map_or(3_600_000_000_000, |Reverse((due, _, _))| due.saturating_sub(now()));
            let patience = Time { seconds: (wait / 1_000_000_000) as i64, nanoseconds: (wait % 1_000_000_000) as i64 };
            let count = unsafe { epoll_pwait2(self.set, events.as_mut_ptr(), 1024, &patience, std::ptr::null()) };
            for event in &events[..count.max(0) as usize] {
                match event.who {
                    LISTENER => self.accept(),
                    who => self.read(who as usize),
                }
            }
            self.play();
        }
    }

    fn stall(&mut self) {
        let begun = self.record.arrivals.first().is_some_and(|first| now() > first + self.pace.stall_at);
        if self.pace.stall_for > 0 && begun && self.record.stall.0 == 0 {
            self.record.stall.0 = now();
            std::thread::sleep(Duration::from_nanos(self.pace.stall_for));
            self.record.stall.1 = now();
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            self.record.connections += 1;
            socket.set_nonblocking(true).unwrap();
            socket.set_nodelay(true).unwrap();
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let mut event = Event { what: READABLE, who: place as u64 };
            unsafe { epoll_ctl(self.set, ADD, socket.as_raw_fd(), &mut event) };
            self.peers[place] = Some(Peer { socket, input: vec![], output: vec![], stream: 0, next: 0, began: 0, number: 0 });
        }
    }

    fn read(&mut self, place: usize) {
        let mut buffer = [0u8; 65536];
        let Some(peer) = self.peers[place].as_mut() else { return };
        let open = loop {
            match peer.socket.read(&mut buffer) {
                Ok(0) => break false,
                Ok(count) => peer.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(_) => break false,
            }
        };
        if !open {
            self.leave(place);
            return;
        }
        while let Some((size, head)) = self.peers[place].as_ref().and_then(|peer| request(&peer.input)) {
            self.answer(place, head);
            let peer = self.peers[place].as_mut().expect("it answers");
            peer.input.drain(..size);
        }
    }

    fn leave(&mut self, place: usize) {
        if self.peers[place].take().is_some_and(|peer| peer.stream != 0) {
            self.record.in_flight -= 1;
            self.record.aborted += 1;
        }
        self.free.push(place);
    }

    fn answer(&mut self, place: usize, head: usize) {
        let peer = self.peers[place].as_mut().expect("it has asked");
        let line = String::from_utf8_lossy(&peer.input[..head.min(120)]).to_string();
        if line.starts_with("POST") {
            let streamed = find(&peer.input[head..], b"\"stream\":true").or(find(&peer.input[head..], b"\"stream\": true")).is_some();
            self.numbers += 1;
            (peer.stream, peer.next, peer.began, peer.number) = (self.numbers, 0, now(), self.numbers);
            if !streamed {
                peer.stream = 0;
                json(&mut peer.socket, "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}");
                return;
            }
            self.record.arrivals.push(peer.began);
            self.record.in_flight += 1;
            self.record.most_in_flight = self.record.most_in_flight.max(self.record.in_flight);
            self.due.push(Reverse((peer.began + self.pace.ttft, place, peer.stream)));
        } else if line.contains("/stats") {
            let text = self.record.json();
            json(&mut self.peers[place].as_mut().unwrap().socket, &text);
        } else if line.contains("/reset") {
            self.record = Record::fresh(self.record.in_flight);
            json(&mut self.peers[place].as_mut().unwrap().socket, "{}");
        } else {
            json(&mut peer.socket, "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1763700000,\"owned_by\":\"x\"}]}");
        }
    }

    fn play(&mut self) {
        while let Some(&Reverse((due, place, stream))) = self.due.peek() {
            let at = now();
            if due > at {
                return;
            }
            self.due.pop();
            let Some(peer) = self.peers[place].as_mut().filter(|peer| peer.stream == stream) else { continue };
            peer.output.clear();
            chunk(peer, &self.pace);
            self.record.late.push(now() - due);
            if !matches!(peer.socket.write(&peer.output), Ok(count) if count == peer.output.len()) {
                eprintln!("a write did not go out whole: the client reads too slowly for this server");
            }
            if peer.next == self.pace.tokens {
                peer.stream = 0;
                self.record.in_flight -= 1;
                self.record.done += 1;
                self.record.last_done = now();
            } else {
                self.due.push(Reverse((peer.began + self.pace.ttft + self.pace.itl * peer.next, place, stream)));
            }
        }
    }
}

fn main() {
    let pace = Pace {
        ttft: (option("--ttft-ms", 50.0) * 1e6) as u64,
        itl: (option("--itl-ms", 10.0) * 1e6) as u64,
        tokens: option("--tokens", 64.0) as u64,
        stall_at: (option("--stall-at", 0.0) * 1e9) as u64,
        stall_for: (option("--stall-for", 0.0) * 1e9) as u64,
    };
    Server::new(option("--port", 8100.0) as u16, pace).run();
}
