//! The load: wrk, one thread, 32 connections that stay open, each sending as soon as it is answered.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::proxies::HOST;

pub const CONNECTIONS: u32 = 32;

/// What wrk saw.
#[derive(Debug, PartialEq)]
pub struct Load {
    pub requests: u64,
    pub per_second: f64,
    pub p99_ms: f64,
    /// Answers that were no success, and connections that broke.
    pub failed: u64,
}

pub fn load(address: &str, seconds: u64) -> Result<Load> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Host: {HOST}")])
        .arg(format!("http://{address}/"))
        .output()
        .context("start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {}", String::from_utf8_lossy(&output.stderr).trim());
    parse(&text).with_context(|| format!("wrk printed\n{text}"))
}

fn parse(text: &str) -> Option<Load> {
    let after =
        |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
    let broken: u64 = after("Socket errors:").map_or(Some(0), |errors| {
        errors.split(", ").map(|one| one.split_once(' ')?.1.parse::<u64>().ok()).sum()
    })?;
    let refused: u64 = after("Non-2xx or 3xx responses:").map_or(Some(0), |n| n.parse().ok())?;
    Some(Load {
        requests: requests.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p99_ms: millis(after("99%")?)?,
        failed: broken + refused,
    })
}

/// `850.00us`, `1.10ms`, `2.01s`, `1.50m`.
fn millis(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
Running 2s test @ http://127.0.0.1:4000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   483.92us  110.00us   3.15ms   89.05%
    Req/Sec    64.42k     5.31k   69.54k    85.71%
  Latency Distribution
     50%  455.00us
     75%  506.00us
     90%  592.00us
     99%    0.90ms
  134581 requests in 2.10s, 26.05MB read
";
    const LAST: &str = "Requests/sec:  64087.94\nTransfer/sec:     12.41MB\n";

    #[test]
    fn what_wrk_prints_is_read() {
        let good = Load { requests: 134_581, per_second: 64_087.94, p99_ms: 0.9, failed: 0 };
        assert_eq!(parse(&format!("{PRINTED}{LAST}")), Some(good));
        let errors = "  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 40\n";
        assert_eq!(parse(&format!("{PRINTED}{errors}{LAST}")).unwrap().failed, 43);
        assert_eq!(parse("unable to connect"), None);
    }

    #[test]
    fn durations_have_units() {
        for (text, expected) in [("850.00us", 0.85), ("2.01s", 2_010.0), ("1.50m", 90_000.0)] {
            assert!((millis(text).unwrap() - expected).abs() < 1e-9, "{text}");
        }
        assert_eq!(millis("12"), None);
    }
}
