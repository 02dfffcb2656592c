use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use grit_insight::coverage::Percent;
use grit_types::{RunId, parse_duration};

#[derive(Debug, Args)]
pub struct Test {
    #[command(subcommand)]
    pub verb: TestVerb,
}

#[derive(Debug, Subcommand)]
pub enum TestVerb {
    /// What reports of tests (JUnit's XML) say; a test that failed and is in no quarantine fails it
    Report {
        #[arg(required_unless_present = "run", value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What the steps of a run of the server reported, instead of files
        #[arg(long, value_name = "RUN", conflicts_with_all = ["files", "record"])]
        run: Option<RunId>,
        /// Remember the results in this clone, for `grit test flaky`
        #[arg(long)]
        record: bool,
    },
    /// Tests that pass and fail without a change, from what was recorded in this clone and what the
    /// server's runs reported
    Flaky,
    /// Tolerate the failures of a test for a while, for everybody: .grit/quarantine.json
    Quarantine {
        /// As `grit test report` names it; without one, what is in quarantine is listed
        test: Option<String>,
        #[arg(long = "for", default_value = "14d", value_parser = parse_duration, value_name = "TIME")]
        time: Duration,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// End it now
        #[arg(long)]
        end: bool,
    },
}

#[derive(Debug, Args)]
pub struct Coverage {
    #[command(subcommand)]
    pub verb: CoverageVerb,
}

#[derive(Debug, Subcommand)]
pub enum CoverageVerb {
    /// Hold reports of coverage, merged, against what is wanted: Cobertura, JaCoCo, LCOV, llvm-cov
    Gate {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Of all lines
        #[arg(long, value_name = "PERCENT")]
        overall: Option<Percent>,
        /// Of the files below a folder, or that match `*` and `**`
        #[arg(long, value_name = "PATH=PERCENT")]
        critical: Vec<String>,
        /// Of the lines that are new since the merge base
        #[arg(long, value_name = "PERCENT")]
        new: Option<Percent>,
        /// What the change goes into; else the remote's default branch, or main
        #[arg(long, value_name = "REVISION")]
        base: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    pub verb: BenchVerb,
}

#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Compare results with those of before: hyperfine, pytest-benchmark, Criterion. Slower fails it
    Compare {
        /// Those of before
        #[arg(long, required = true, value_name = "FILE")]
        baseline: Vec<PathBuf>,
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// So much slower is the same, in percent
        #[arg(long, default_value = "10", value_name = "PERCENT")]
        limit: Percent,
    },
}
