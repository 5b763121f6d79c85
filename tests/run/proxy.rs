//! A proxy stands between a client and a broker and makes the network bad: far, slow, stalled, cut, reset, silent, or
//! with bits that flip. The broker tells its clients the proxy's address for its own, so nothing goes past it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::kafka::RealKafka;

/// How often a thread looks whether the weather has changed.
const LOOK: Duration = Duration::from_millis(10);

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// All passes.
    Fair,
    /// All passes, each way so much later.
    Far(Duration),
    /// Nothing passes, and nothing is lost.
    Stalled,
    /// So many bytes a second reach the client.
    Slow(u32),
    /// A connection ends in the middle of an answer, as if the broker had closed it.
    Cut,
    /// A connection is reset (RST) when the client's next request comes.
    Reset,
    /// Half open: the broker's side is gone, and the client is never told.
    Silent,
    /// One bit flips after each of these words on their way to the client.
    Garbled(&'static str),
}

/// A proxy before one broker; gone when dropped.
pub(super) struct Proxy {
    /// Where clients are to go.
    pub(super) address: String,
    sky: Arc<Sky>,
}

/// What all its threads look at.
struct Sky {
    weather: Mutex<Weather>,
    /// Bytes that reached clients.
    passed: AtomicU64,
    /// Connections that were cut, reset or silenced, and bits that were flipped.
    harmed: AtomicU64,
    is_over: AtomicBool,
}

impl Proxy {
    /// Before `kafka`, in fair weather.
    pub(super) fn before(kafka: &RealKafka) -> Proxy {
        let door = kafka.side_door();
        let address = door.advertised.local_addr().unwrap().to_string();
        let sky = Sky {
            weather: Mutex::new(Weather::Fair),
            passed: AtomicU64::default(),
            harmed: AtomicU64::default(),
            is_over: AtomicBool::default(),
        };
        let sky = Arc::new(sky);
        let seen = Arc::clone(&sky);
        thread::spawn(move || accept(&door.advertised, door.broker, &seen));
        Proxy { address, sky }
    }

    /// Changes the weather.
    pub(super) fn set(&self, weather: Weather) {
        *self.sky.weather.lock().unwrap() = weather;
    }

    /// Bytes that reached clients so far.
    pub(super) fn passed(&self) -> u64 {
        self.sky.passed.load(Ordering::Relaxed)
    }

    /// Connections that were cut, reset or silenced, and bits that were flipped, so far.
    pub(super) fn harmed(&self) -> u64 {
        self.sky.harmed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.sky.is_over.store(true, Ordering::Relaxed);
        // Wakes who waits for a client.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Sky {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn harm(&self) {
        self.harmed.fetch_add(1, Ordering::Relaxed);
    }
}

fn accept(listener: &TcpListener, broker: SocketAddr, sky: &Arc<Sky>) {
    for client in listener.incoming().map_while(Result::ok).take_while(|_| !sky.is_over()) {
        // A broker that is not there is no listener: the client is turned away.
        let Ok(broker) = TcpStream::connect(broker) else { continue };
        for stream in [&client, &broker] {
            stream.set_read_timeout(Some(LOOK)).unwrap();
            stream.set_nodelay(true).unwrap();
        }
        let line = Arc::new(Line { client, broker, sky: Arc::clone(sky), is_cut: AtomicBool::default() });
        let other = Arc::clone(&line);
        thread::spawn(move || line.to_broker());
        thread::spawn(move || other.to_client());
    }
}

/// One connection, as two threads see it.
struct Line {
    client: TcpStream,
    broker: TcpStream,
    sky: Arc<Sky>,
    is_cut: AtomicBool,
}

impl Line {
    /// The client's requests, to the broker.
    fn to_broker(&self) {
        let mut bytes = vec![0; 1 << 16];
        while self.is_open() {
            match self.sky.weather() {
                Weather::Stalled => pause(LOOK),
                Weather::Reset => {
                    // Closed with bytes unread is reset, and not ended.
                    if matches!(self.client.peek(&mut bytes), Ok(1..)) {
                        self.cut();
                    }
                }
                Weather::Silent => return self.swallow(&mut bytes),
                weather => {
                    let Some(len) = self.read(&self.client, &mut bytes) else { continue };
                    if let Weather::Far(way) = weather {
                        pause(way);
                    }
                    self.write(&self.broker, &bytes[..len]);
                }
            }
        }
    }

    /// The broker's answers, to the client.
    fn to_client(&self) {
        let mut bytes = vec![0; 1 << 16];
        while self.is_open() {
            match self.sky.weather() {
                Weather::Stalled => pause(LOOK),
                // The other thread waits for the request, or has swallowed it.
                Weather::Silent => return,
                _ => {
                    let Some(len) = self.read(&self.broker, &mut bytes) else { continue };
                    // As it is now: what was sent after a change meets the weather after it.
                    self.answer(self.sky.weather(), &mut bytes[..len]);
                }
            }
        }
    }

    fn answer(&self, weather: Weather, bytes: &mut [u8]) {
        match weather {
            Weather::Far(way) => pause(way),
            Weather::Slow(a_second) => {
                for piece in bytes.chunks(usize::try_from(a_second / 10).unwrap().max(1)) {
                    pause(Duration::from_millis(100));
                    self.pass(piece);
                }
                return;
            }
            Weather::Cut if bytes.len() > 200 => {
                self.pass(&bytes[..bytes.len() / 2]);
                return self.cut();
            }
            Weather::Garbled(after) => {
                let places = (0..bytes.len()).filter(|place| bytes[..*place].ends_with(after.as_bytes()));
                for place in places.collect::<Vec<_>>() {
                    bytes[place] ^= 1;
                    self.sky.harm();
                }
            }
            _ => {}
        }
        self.pass(bytes);
    }

    fn pass(&self, bytes: &[u8]) {
        self.write(&self.client, bytes);
        self.sky.passed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// What came, if anything did; the end of a side is the end of both.
    fn read(&self, mut from: &TcpStream, bytes: &mut [u8]) -> Option<usize> {
        match from.read(bytes) {
            Ok(len @ 1..) => return Some(len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => self.close(),
        }
        None
    }

    fn write(&self, mut to: &TcpStream, bytes: &[u8]) {
        if to.write_all(bytes).is_err() {
            self.close();
        }
    }

    /// The client hears nothing more, not even that the broker is gone.
    fn swallow(&self, bytes: &mut [u8]) {
        self.sky.harm();
        let _ = self.broker.shutdown(Shutdown::Both);
        while self.is_open() {
            let _ = self.read(&self.client, bytes);
        }
    }

    fn cut(&self) {
        self.sky.harm();
        self.close();
    }

    fn close(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    fn is_open(&self) -> bool {
        !self.is_cut.load(Ordering::Relaxed) && !self.sky.is_over()
    }
}

#[expect(clippy::disallowed_methods, reason = "a bad network is one that makes wait")]
fn pause(long: Duration) {
    thread::sleep(long);
}
