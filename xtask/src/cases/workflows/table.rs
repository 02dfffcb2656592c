//! Which block of which page needs what around it, and what must come of it.

/// What a block is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A whole workflow.
    Workflow,
    /// One or more jobs.
    Job,
    /// Keys of a job.
    Keys,
    /// A list of steps.
    Steps,
    /// The script of a step.
    Script,
    /// All jobs of the page in one workflow; no block of its own.
    Together,
    /// Nothing of the service: what it is.
    Other(&'static str),
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Workflow => "workflows",
            Self::Job => "jobs",
            Self::Keys => "parts of a job",
            Self::Steps => "lists of steps",
            Self::Script => "scripts of a step",
            Self::Together => "all jobs",
            Self::Other(_) => "of other systems",
        }
    }

    pub fn wrapper(self) -> &'static str {
        match self {
            Self::Workflow => "run as it stands",
            Self::Job => {
                "wrapped in `on: push` and `jobs:`, with an empty job for each that it needs"
            }
            Self::Keys => "wrapped in a job with one step",
            Self::Steps => "wrapped in a job that checks out first",
            Self::Script => "wrapped in `run: |` of a job that checks out first",
            Self::Together => "all jobs of the page in one workflow",
            Self::Other(_) => "not run",
        }
    }
}

/// A block, by the heading that it stands under.
pub struct Entry {
    pub page: &'static str,
    pub heading: &'static str,
    pub part: Part,
    pub cases: &'static [Case],
}

/// An event, and what must come of it.
pub struct Case {
    pub name: &'static str,
    pub event: &'static str,
    pub reference: &'static str,
    pub inputs: &'static [(&'static str, &'static str)],
    pub secrets: &'static [(&'static str, &'static str)],
    /// Jobs that the block needs and does not have.
    pub needed: &'static [&'static str],
    /// Steps before those of the block.
    pub before: &'static [&'static str],
    /// Stand-ins that end with 1.
    pub failing: &'static [&'static str],
    pub conclusion: &'static str,
    /// Why it is not success.
    pub why: Option<&'static str>,
    /// What all combinations of a job come to.
    pub jobs: &'static [(&'static str, &'static str)],
    /// Every call of a stand-in but those of [`ASIDE`]; `*` is any text, `{sha}` the commit.
    pub calls: &'static [&'static [&'static str]],
    /// What a log says.
    pub said: &'static [&'static str],
}

pub const CASE: Case = Case {
    name: "pushed to main",
    event: "push",
    reference: "refs/heads/main",
    inputs: &[],
    secrets: &[],
    needed: &[],
    before: &[],
    failing: &[],
    conclusion: "success",
    why: None,
    jobs: &[],
    calls: &[],
    said: &[],
};

/// Programs that the pages call and that this machine need not have.
pub const PROGRAMS: &[&str] = &[
    "bandit",
    "black",
    "cosign",
    "coverage",
    "docker",
    "flake8",
    "helm",
    "isort",
    "kubectl",
    "locust",
    "markdown-link-check",
    "mypy",
    "npm",
    "pip",
    "pytest",
    "pytest-benchmark",
    "safety",
    "trivy",
    "uv",
    "yq",
];

/// Scripts of the repositories that the pages are about.
pub const SCRIPTS: &[&str] = &[
    "scripts/check-doc-refs.sh",
    "scripts/cleanup-test.sh",
    "scripts/deploy-test.sh",
    "scripts/deploy.sh",
    "scripts/health-check.sh",
    "scripts/verify-doc-index.sh",
    "scripts/wait-for-services.sh",
];

pub const FILES: &[(&str, &str)] = &[
    ("CHANGELOG.md", "# Changes\n\nMany.\n"),
    ("Dockerfile", "FROM scratch\n"),
    ("auth/requirements.txt", "\n"),
    (
        "coverage.xml",
        "<?xml version=\"1.0\"?>\n<coverage line-rate=\"1\" branch-rate=\"0\" version=\"7\" timestamp=\"1\"><packages><package name=\"a\" line-rate=\"1\"><classes><class name=\"a.py\" filename=\"src/a.py\" line-rate=\"1\"><lines><line number=\"1\" hits=\"1\"/></lines></class></classes></package></packages></coverage>\n",
    ),
    ("docs/INDEX.md", "# Index\n"),
    ("htmlcov/index.html", "<p>covered</p>\n"),
    ("package-lock.json", "{}\n"),
    ("src/a.py", "pass\n"),
];

/// What is in the tool cache: folder, version, programs.
pub const TOOLS: &[(&str, &str, &[&str])] = &[
    ("Python", "3.11.9", &["python", "python3"]),
    ("Python", "3.12.4", &["python", "python3"]),
    ("node", "18.20.4", &["node"]),
    ("node", "22.4.1", &["node"]),
];

/// What is on the path. A real Node.js brings its own npm, so this one is newer than any that fits.
pub const MACHINE: &[(&str, &str)] =
    &[("node", "20.999.0"), ("python", "3.9.2"), ("python3", "3.9.2")];

/// Calls that a built-in action makes, where this machine needs them.
pub const ASIDE: &[&str] = &[
    "cosign *version*",
    "docker run --rm --privileged * --install all",
    "docker buildx version",
    "docker buildx create --name *",
    "docker buildx rm --force *",
];

const TAG: &str = "refs/tags/v1.2.3";
const DOCKER_LOGIN: &[(&str, &str)] =
    &[("DOCKER_USERNAME", "captain-of-images"), ("DOCKER_PASSWORD", "hunter2-and-3")];
const SLACK: &[(&str, &str)] = &[("SLACK_WEBHOOK", "https://hooks.example.org/T0/B0/deadbeef")];

pub const ENTRIES: &[Entry] = &[
    Entry {
        page: "001",
        heading: "1. Linting",
        part: Part::Job,
        cases: &[
            Case { calls: &[LINT], ..CASE },
            Case {
                name: "badly formatted",
                failing: &["black"],
                conclusion: "failure",
                why: Some("`black --check` fails"),
                calls: &[&["pip install black flake8 mypy isort", "black --check ."]],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "2. Testing",
        part: Part::Job,
        cases: &[Case { calls: &[TEST], jobs: &[("test", "success")], ..CASE }],
    },
    Entry {
        page: "001",
        heading: "3. Security Scanning",
        part: Part::Job,
        cases: &[
            Case { calls: &[SECURITY], ..CASE },
            Case {
                name: "with a finding",
                failing: &["bandit"],
                conclusion: "failure",
                why: Some("`bandit` fails"),
                calls: &[&["pip install bandit", "bandit -r src/"]],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "4. Build",
        part: Part::Job,
        cases: &[Case { needed: &["lint", "test", "security"], calls: &[BUILD], ..CASE }],
    },
    Entry {
        page: "001",
        heading: "5. Documentation",
        part: Part::Job,
        cases: &[Case { calls: &[DOCS], ..CASE }],
    },
    Entry {
        page: "001",
        heading: "6. Integration Tests",
        part: Part::Job,
        cases: &[Case { needed: &["build"], calls: &[INTEGRATION], ..CASE }],
    },
    Entry {
        page: "001",
        heading: "7. E2E Tests",
        part: Part::Job,
        cases: &[
            Case { needed: &["integration"], calls: &[E2E], ..CASE },
            Case {
                name: "with a test that fails",
                needed: &["integration"],
                failing: &["pytest"],
                conclusion: "failure",
                why: Some("`pytest` fails, and what is always done is done"),
                calls: &[E2E],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "Release Pipeline",
        part: Part::Job,
        cases: &[
            Case {
                name: "a tag pushed",
                reference: TAG,
                needed: &["lint", "test", "security", "build", "integration", "e2e"],
                secrets: DOCKER_LOGIN,
                calls: &[RELEASE],
                said: &["Not delivered: the release v1.2.3 \"Release v1.2.3\""],
                ..CASE
            },
            Case {
                needed: &["lint", "test", "security", "build", "integration", "e2e"],
                secrets: DOCKER_LOGIN,
                jobs: &[("release", "skipped"), ("e2e", "success")],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "all jobs",
        part: Part::Together,
        cases: &[Case {
            secrets: DOCKER_LOGIN,
            jobs: &[
                ("lint", "success"),
                ("test", "success"),
                ("e2e", "success"),
                ("performance", "success"),
                ("release", "skipped"),
            ],
            calls: &[LINT, TEST, SECURITY, BUILD, DOCS, INTEGRATION, E2E, LOAD],
            ..CASE
        }],
    },
    Entry {
        page: "001",
        heading: "Coverage Reporting",
        part: Part::Steps,
        cases: &[
            Case {
                calls: &[&["coverage report --fail-under=80", "coverage html"]],
                said: &["Artifact coverage-report is kept: 1 file(s)"],
                ..CASE
            },
            Case {
                name: "with too little",
                failing: &["coverage"],
                conclusion: "failure",
                why: Some("`coverage report` fails"),
                calls: &[&["coverage report --fail-under=80"]],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "Load Testing",
        part: Part::Job,
        cases: &[Case { calls: &[LOAD], ..CASE }],
    },
    Entry {
        page: "001",
        heading: "Benchmark Tests",
        part: Part::Steps,
        cases: &[Case {
            calls: &[&["pytest tests/benchmarks/ --benchmark-only", "pytest-benchmark compare"]],
            ..CASE
        }],
    },
    Entry {
        page: "001",
        heading: "Automatic Rollback",
        part: Part::Steps,
        cases: &[
            Case { name: "in good health", calls: &[&["./scripts/health-check.sh"]], ..CASE },
            Case {
                name: "in bad health",
                failing: &["health-check.sh"],
                conclusion: "failure",
                why: Some("the health check fails, and the rollback does not undo that"),
                calls: &[&["./scripts/health-check.sh", "helm rollback autogit"]],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "Notifications",
        part: Part::Steps,
        cases: &[
            Case { name: "after a success", secrets: SLACK, ..CASE },
            Case {
                name: "after a failure",
                secrets: SLACK,
                before: &["exit 1"],
                conclusion: "failure",
                why: Some("the step before it fails"),
                said: &["Not delivered: a Slack message: Build failed"],
                ..CASE
            },
        ],
    },
    Entry {
        page: "001",
        heading: "Pre-commit Hooks",
        part: Part::Other("a configuration of pre-commit"),
        cases: &[],
    },
    Entry {
        page: "002",
        heading: "1. Auth Test Suite",
        part: Part::Workflow,
        cases: &[
            Case { calls: &[AUTH], ..CASE },
            Case { name: "a pull request", event: "pull_request", calls: &[AUTH], ..CASE },
        ],
    },
    Entry {
        page: "002",
        heading: "Docker Image Building",
        part: Part::Script,
        cases: &[Case {
            calls: &[&[
                "docker build -t service-name:{sha} .",
                "docker tag service-name:{sha} service-name:latest",
            ]],
            ..CASE
        }],
    },
    Entry {
        page: "002",
        heading: "Test Database",
        part: Part::Keys,
        cases: &[Case {
            name: "without a Docker engine",
            conclusion: "failure",
            why: Some("a service needs a Docker engine, and the stand-in is none"),
            ..CASE
        }],
    },
    Entry {
        page: "003",
        heading: "Issue 39: Implement blue/green deployment strategy",
        part: Part::Other("a resource of Argo Rollouts"),
        cases: &[],
    },
    Entry {
        page: "003",
        heading: "Issue 40: Implement canary deployment strategy",
        part: Part::Other("a resource of Argo Rollouts"),
        cases: &[],
    },
    Entry {
        page: "003",
        heading: "Issue 41: Add CI/CD pipelines",
        part: Part::Workflow,
        cases: &[
            Case {
                conclusion: "failure",
                why: Some("the job checks out nothing, and has no `./scripts/deploy.sh`"),
                jobs: &[
                    ("build", "success"),
                    ("test", "success"),
                    ("deploy-dev", "skipped"),
                    ("deploy-prod", "failure"),
                ],
                calls: &[SPRINT],
                ..CASE
            },
            Case {
                name: "pushed to develop",
                reference: "refs/heads/develop",
                conclusion: "failure",
                why: Some("the job checks out nothing, and has no `./scripts/deploy.sh`"),
                jobs: &[("deploy-dev", "failure"), ("deploy-prod", "skipped")],
                calls: &[SPRINT],
                ..CASE
            },
            Case {
                name: "with a test that fails",
                failing: &["npm"],
                conclusion: "failure",
                why: Some("`npm test` fails, and nothing is deployed"),
                jobs: &[("test", "failure"), ("deploy-prod", "skipped")],
                calls: &[&["docker build -t advancia-backend:{sha} .", "npm test"]],
                ..CASE
            },
        ],
    },
    Entry {
        page: "004",
        heading: "Artifact Promotion",
        part: Part::Workflow,
        cases: &[Case {
            name: "started by hand",
            event: "workflow_dispatch",
            inputs: &[("image_tag", "1.2.3"), ("target_env", "staging")],
            conclusion: "failure",
            why: Some("the job checks out nothing, and has no `gitops`"),
            calls: &[&[
                "docker pull /:1.2.3",
                "docker tag /:1.2.3 /:staging-latest",
                "docker push /:staging-latest",
                "cosign sign /:staging-latest",
            ]],
            ..CASE
        }],
    },
    Entry {
        page: "004",
        heading: "Flagger Progressive Delivery",
        part: Part::Other("a resource of Flagger"),
        cases: &[],
    },
    Entry {
        page: "004",
        heading: "GitLab CI",
        part: Part::Other("a pipeline of GitLab"),
        cases: &[],
    },
    Entry {
        page: "004",
        heading: "Parallel Testing",
        part: Part::Other("a configuration of CircleCI"),
        cases: &[],
    },
    Entry {
        page: "004",
        heading: "Build Caching Strategy",
        part: Part::Steps,
        cases: &[Case { calls: &[&["docker buildx build *"]], ..CASE }],
    },
    Entry {
        page: "004",
        heading: "Parallel CI Pipeline",
        part: Part::Workflow,
        cases: &[Case {
            jobs: &[("test", "success"), ("build-images", "success")],
            calls: &[&[
                "npm ci",
                "npm test",
                "npm ci",
                "npm test",
                "npm ci",
                "npm test",
                "docker buildx build --platform linux/amd64 *--tag=app:{sha} *",
                "docker buildx build --platform linux/arm64 *--tag=app:{sha} *",
            ]],
            ..CASE
        }],
    },
    Entry {
        page: "004",
        heading: "Multi-Service Release Orchestration",
        part: Part::Other("a job of Kubernetes"),
        cases: &[],
    },
    Entry {
        page: "004",
        heading: "Release Metrics Dashboard",
        part: Part::Other("a dashboard of Grafana"),
        cases: &[],
    },
];

const LINT: &[&str] = &[
    "pip install black flake8 mypy isort",
    "black --check .",
    "flake8 src/ tests/",
    "mypy src/",
    "isort --check-only .",
];

/// Once for each of the two versions.
const TEST: &[&str] = &[
    "pip install uv",
    "uv sync",
    "uv run pytest --cov --cov-report=xml",
    "pip install uv",
    "uv sync",
    "uv run pytest --cov --cov-report=xml",
];

const SECURITY: &[&str] =
    &["pip install bandit", "bandit -r src/", "pip install safety", "safety check", "trivy fs *."];

const BUILD: &[&str] = &[
    "docker buildx build --platform linux/amd64,linux/arm64 --tag autogit/runner-coordinator:{sha} services/runner-coordinator/",
];

const DOCS: &[&str] = &[
    "npm install -g markdown-link-check",
    "markdown-link-check docs/INDEX.md",
    "./scripts/verify-doc-index.sh",
    "./scripts/check-doc-refs.sh",
];

const INTEGRATION: &[&str] = &[
    "docker compose -f compose/dev/docker-compose.yml up -d",
    "./scripts/wait-for-services.sh",
    "pytest tests/integration/",
    "docker compose down",
];

const E2E: &[&str] =
    &["./scripts/deploy-test.sh", "pytest tests/e2e/", "./scripts/cleanup-test.sh"];

const RELEASE: &[&str] = &[
    "docker login -u captain-of-images -p hunter2-and-3",
    "docker buildx build --platform linux/amd64,linux/arm64 --tag autogit/runner-coordinator:v1.2.3 --tag autogit/runner-coordinator:latest --push services/runner-coordinator/",
    "helm package charts/autogit/",
    "helm push autogit-v1.2.3.tgz oci://ghcr.io/yourusername/charts",
];

const LOAD: &[&str] = &[
    "pip install locust",
    "locust -f tests/load/locustfile.py --headless --users 100 --spawn-rate 10 --run-time 5m --host http://localhost:8080",
];

const AUTH: &[&str] = &[
    "python -m pip install --upgrade pip",
    "pip install -r requirements.txt",
    "python manage.py test users.tests",
];

const SPRINT: &[&str] = &["docker build -t advancia-backend:{sha} .", "npm test", "npm audit"];
