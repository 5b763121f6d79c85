//! The process as the operating system counts it, under the names that every Prometheus client uses. Linux only;
//! elsewhere it is left out.

/// Ticks a second in `/proc`: a constant of Linux's interface to programs.
const TICKS: f64 = 100.0;

/// What `/proc/self` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    /// Memory that is in RAM, bytes.
    pub(crate) resident_bytes: i64,
    /// CPU used, user and system.
    pub(crate) cpu_seconds: f64,
    /// Open file descriptors.
    pub(crate) open_fds: i64,
}

impl Process {
    /// Of this process; `None` where the operating system does not say.
    pub(crate) fn now() -> Option<Process> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let open_fds = i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?;
        Some(Process { resident_bytes: resident_bytes(&status)?, cpu_seconds: cpu_seconds(&stat)?, open_fds })
    }
}

fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()? * 1024)
}

/// The name of the program, in parentheses, may hold anything; what follows is numbers.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   12 kB\nThreads: 1\n"), Some(12_288));
        assert_eq!(cpu_seconds("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0"), Some(3.0));
        assert_eq!((resident_bytes(""), cpu_seconds("7 (x")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let now = Process::now().unwrap();
        assert!(now.resident_bytes > 0 && now.open_fds > 2 && now.cpu_seconds >= 0.0, "{now:?}");
    }
}
