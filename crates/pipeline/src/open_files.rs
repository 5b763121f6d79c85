//! Open files: how many the system lets this process have. A client of Kafka that cannot open a socket looks like a
//! broker that is away, and waits for ever; so this is asked at the start.

use problem::Problem;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With one broker a run was seen to have some 30, and 8 for each lane; more for each further broker, for who asks over
/// HTTP, and while it settles. This is about twice as many.
const NEEDED: (u64, u64) = (64, 16);

/// Raises the limit as far as this process may, and says where that is too little for a run with so many lanes.
///
/// # Errors
/// It is too little.
pub fn raise(lanes: usize) -> Result<(), Problem> {
    let limit = getrlimit(Resource::Nofile);
    // Where the system takes no such number the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let (most, needed) = (getrlimit(Resource::Nofile).current, NEEDED.0 + NEEDED.1 * lanes as u64);
    match most.filter(|most| *most < needed) {
        None => Ok(()),
        Some(most) => Err(Problem::world(format!(
            "This process may have {most} files and sockets open, and a run with {lanes} lanes needs {needed}. Raise the limit (`ulimit -n 1024`; \
             LimitNOFILE= in a unit of systemd), or take fewer --lanes."
        ))),
    }
}
