use grit_types::Role;
use serde_json::{Map, Value, json};

use super::environment::{DEFAULT_DISTINCT, DEFAULT_ROLES, DEFAULT_STRATEGY};
use super::service::HEALTH_PATH;
use super::strategy::{METRICS, OFF};
use super::{ITEMS_MAX, issues, keys};

type Property = (&'static str, Value);

/// The JSON Schema (2020-12) of `grit.yaml`, for editors.
///
/// It accepts all that [`super::parse`] accepts; what only shows across entries (unknown names,
/// cycles) is for the latter alone.
pub fn schema() -> Value {
    let mut schema = object(
        "What of this repository is deployed where, and how. Everything left out has a default.",
        [
            named("services", "What is deployed.", "service"),
            named("environments", "Where it is deployed to.", "environment"),
            named("strategies", "How a new revision takes over, by names of your own.", "strategy"),
            runners(),
            to("issues", "Which events open or update issues in the repository.", "issues"),
        ],
    );
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "grit.yaml".into();
    schema["$defs"] = json!({
        "service": service(),
        "runner": runner(),
        "run": run(),
        "health": health(),
        "limits": limits(),
        "environment": environment(),
        "when": when(),
        "gate": gate(),
        "approval": approval(),
        "protection": protection(),
        "check": required(check(), &["run"]),
        "strategy": strategy(),
        "canary": required(canary(), &["steps"]),
        "rolling": rolling(),
        "step": step(),
        "pause": pause(),
        "analysis": analysis(),
        "stepAnalysis": step_analysis(),
        "metric": metric(),
        "guard": guard(),
        "issues": issues(),
        "pipelineFailed": pipeline_failed(),
        "followedDeployment": followed_deployment(),
        "rolledBack": object("An incident.", [labels(issues::ROLLED_BACK_LABELS)]),
        "alert": object("Alerts.", recurring(issues::ALERT_LABELS)),
        "testFailed": object("Failing tests.", recurring(issues::TEST_LABELS)),
    });
    schema
}

fn object(doc: &str, properties: impl IntoIterator<Item = Property>) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "description": doc,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn required(mut schema: Value, names: &[&str]) -> Value {
    schema["required"] = names.into();
    schema
}

/// Of one kind, which its only key says.
fn one_of(doc: &str, properties: impl IntoIterator<Item = Property>) -> Value {
    let mut schema = object(doc, properties);
    schema["minProperties"] = 1.into();
    schema["maxProperties"] = 1.into();
    schema
}

fn named(name: &'static str, doc: &str, of: &str) -> Property {
    let schema = json!({
        "description": doc,
        "type": "object",
        "maxProperties": ITEMS_MAX,
        "additionalProperties": reference(of),
    });
    (name, schema)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn to(name: &'static str, doc: &str, of: &str) -> Property {
    (name, json!({ "description": doc, "$ref": format!("#/$defs/{of}") }))
}

fn text(name: &'static str, doc: &str) -> Property {
    (name, json!({ "description": doc, "type": "string" }))
}

fn default((name, mut schema): Property, value: impl Into<Value>) -> Property {
    schema["default"] = value.into();
    (name, schema)
}

fn list(name: &'static str, doc: &str, items: Value) -> Property {
    (name, json!({ "description": doc, "type": "array", "maxItems": ITEMS_MAX, "items": items }))
}

fn filled((name, mut schema): Property) -> Property {
    schema["minItems"] = 1.into();
    (name, schema)
}

/// One string, or several.
fn strings(name: &'static str, doc: &str) -> Property {
    let several = json!({ "type": "array", "maxItems": ITEMS_MAX, "items": { "type": "string" } });
    (name, json!({ "description": doc, "anyOf": [{ "type": "string" }, several] }))
}

fn runners() -> Property {
    let host = json!({ "description": "Processes of the machine.", "const": super::runners::HOST });
    let schema = json!({
        "description": "What runs a job that asks for one of these labels and for no container \
                        itself; `*` stands for any characters, and the first that fits counts.",
        "type": "object",
        "maxProperties": ITEMS_MAX,
        "additionalProperties": { "anyOf": [host, reference("runner")] },
    });
    ("runners", schema)
}

fn runner() -> Value {
    let image = json!({ "description": "The image of a container that steps are commands in; without one they are \
                        processes of the machine.", "type": "string", "minLength": 1 });
    let trusted = json!({ "description": "Whether containers of its jobs may have what opens the machine to them: \
                          its folders, its processes, privileges. Counts as the default branch says it.",
                          "type": "boolean", "default": false });
    let mut runner = object("What runs a job.", [("container", image), ("trusted", trusted)]);
    runner["minProperties"] = 1.into();
    runner
}

fn service() -> Value {
    let command = "The name that its artifacts are pushed under; its own name unless written.";
    object(
        "Something that is deployed.",
        [
            default(strings("source", "Paths whose change concerns the service."), "."),
            text("image", command),
            strings("needs", "Services that are deployed before it."),
            to("run", "How an instance is run.", "run"),
        ],
    )
}

fn run() -> Value {
    let argument = json!({ "type": "string" });
    let command =
        "Started in the unpacked artifact, with PORT in its environment; `./NAME` unless written.";
    let env = json!({
        "description": "What is added to an instance's environment.",
        "type": "object",
        "propertyNames": { "pattern": "^(?!PORT$)[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": { "type": ["string", "number", "boolean"] },
    });
    object(
        "How an instance is run.",
        [
            filled(list("command", command, argument)),
            keys::REPLICAS.schema(),
            ("env", env),
            to("health", "When an instance can serve.", "health"),
            keys::REQUEST_TIMEOUT.schema(),
            keys::DRAIN.schema(),
            to("limits", "What an instance may use.", "limits"),
        ],
    )
}

fn health() -> Value {
    object(
        "When an instance counts as able to serve.",
        [
            default(text("path", "What is asked: an answer of 200 to 299 is good."), HEALTH_PATH),
            keys::HEALTH_INTERVAL.schema(),
            keys::HEALTH_TIMEOUT.schema(),
            keys::HEALTHY.schema(),
            keys::UNHEALTHY.schema(),
            keys::DEADLINE.schema(),
        ],
    )
}

fn limits() -> Value {
    object("What an instance may use.", [keys::MEMORY.optional(), keys::OPEN_FILES.optional()])
}

fn environment() -> Value {
    let strategy = "How a new revision takes over: `rolling`, `canary`, or a declared strategy.";
    let (_, mut replicas) = keys::REPLICAS.optional();
    replicas["description"] =
        "How many instances of each service, in place of its own number.".into();
    object(
        "Where services are deployed to.",
        [
            to("when", "Which pushes are deployed here; without it, only people deploy.", "when"),
            text("after", "The environment in which the same digest must have succeeded."),
            list("gates", "What must hold before a deployment begins.", reference("gate")),
            list("verify", "What must succeed before any traffic.", reference("check")),
            default(text("strategy", strategy), DEFAULT_STRATEGY),
            keys::ROLLBACK_WINDOW.schema(),
            ("replicas", replicas),
            to("protection", "What a pipeline's job waits for that names it.", "protection"),
        ],
    )
}

fn protection() -> Value {
    object(
        "What keeps back a pipeline's job that deploys there by itself.",
        [
            to("approval", "People who must agree.", "approval"),
            keys::WAIT.schema(),
            list(
                "refs",
                "Branches and tags that may deploy there; all, where none is named.",
                json!({ "type": "string" }),
            ),
        ],
    )
}

fn when() -> Value {
    let mut schema = object(
        "At least one of the two; one that matches is enough.",
        [
            text("branch", "A branch; `*` stands for anything but `/`, `**` for anything."),
            text("tag", "A tag; `*` stands for anything but `/`, `**` for anything."),
        ],
    );
    schema["minProperties"] = 1.into();
    schema
}

fn gate() -> Value {
    let job = json!({ "type": "string" });
    one_of(
        "What must hold before a deployment begins.",
        [
            filled(list("checks", "Jobs of the commit's run that must have succeeded.", job)),
            to("approval", "People who must agree.", "approval"),
        ],
    )
}

fn approval() -> Value {
    let names =
        |roles: &[Role]| -> Value { roles.iter().map(|role| Value::from(role.as_str())).collect() };
    let role = json!({ "enum": names(&Role::ALL) });
    let several = json!({ "type": "array", "minItems": 1, "items": role });
    let roles = json!({
        "description": "Who may agree; each role includes those below it.",
        "anyOf": [role, several],
        "default": names(&DEFAULT_ROLES),
    });
    let distinct = json!({
        "description": "Whether it must be somebody who neither wrote nor requested the change.",
        "type": "boolean",
        "default": DEFAULT_DISTINCT,
    });
    object(
        "People who must agree.",
        [keys::APPROVALS.schema(), ("roles", roles), ("distinct", distinct)],
    )
}

fn check() -> Value {
    object(
        "A command that must succeed.",
        [text("run", "Run by `sh -c` in a checkout, with GRIT_URL of a new instance.")],
    )
}

fn strategy() -> Value {
    one_of(
        "How a new revision takes over.",
        [
            to("canary", "By weight, step by step, beside the old revision.", "canary"),
            to("rolling", "One instance after the other.", "rolling"),
        ],
    )
}

fn canary() -> Value {
    object(
        "By weight, step by step, beside the old revision; after the last step all traffic.",
        [
            filled(list("steps", "In this order.", reference("step"))),
            to("analysis", "What is measured all the time.", "analysis"),
            to("guard", "The brake in the edge; there unless it is `off`.", "guard"),
            keys::SOAK.schema(),
        ],
    )
}

fn rolling() -> Value {
    object(
        "One instance after the other.",
        [
            keys::BATCH.schema(),
            to("guard", "The brake in the edge; there unless it is `off`.", "guard"),
            keys::SOAK.schema(),
        ],
    )
}

fn step() -> Value {
    one_of(
        "One step of a canary.",
        [
            keys::WEIGHT.optional(),
            to("pause", "Wait.", "pause"),
            to("analysis", "Measure, and go on when that has passed.", "stepAnalysis"),
        ],
    )
}

fn pause() -> Value {
    let mut schema = object("Wait.", [keys::PAUSE.optional()]);
    schema["type"] = json!(["object", "null"]);
    schema
}

fn measured() -> Vec<Property> {
    let metrics = "What is measured; unless written, that 99 percent of requests succeed.";
    vec![
        filled(list("metrics", metrics, reference("metric"))),
        keys::INTERVAL.schema(),
        keys::FAILURE_LIMIT.schema(),
        keys::INCONCLUSIVE_LIMIT.schema(),
        keys::MIN_REQUESTS.schema(),
    ]
}

fn analysis() -> Value {
    object("What is measured on the new revision's traffic.", measured())
}

fn step_analysis() -> Value {
    let properties = measured().into_iter().chain([keys::COUNT.schema()]);
    object("What is measured on the new revision's traffic, so many times.", properties)
}

/// The name says which bound there is.
fn metric() -> Value {
    let of = |name: &str, (bound, schema): Property| {
        let name = ("name", json!({ "const": name }));
        required(object("One bound.", [name, (bound, schema)]), &["name", bound])
    };
    let kinds = METRICS.into_iter().map(|(name, percentile)| match percentile {
        None => of(name, keys::SUCCESS_MIN.optional()),
        Some(_) => of(name, keys::LATENCY_MAX.optional()),
    });
    json!({ "oneOf": kinds.collect::<Vec<_>>() })
}

fn guard() -> Value {
    let guard = object(
        "The brake in the edge: it waits neither for a measurement nor for the controller.",
        [keys::ERROR_RATE.schema(), keys::GUARD_WINDOW.schema(), keys::GUARD_REQUESTS.schema()],
    );
    json!({ "anyOf": [{ "const": OFF }, guard] })
}

/// `true` is a mapping in which nothing is written.
fn wanted(name: &'static str, doc: &str, of: &str, default: bool) -> Property {
    let any = json!([{ "type": "boolean" }, reference(of)]);
    (name, json!({ "description": doc, "anyOf": any, "default": default }))
}

fn issues() -> Value {
    let failed = "A run of a pipeline failed: one issue, until it is green again.";
    let deployment = "A deployment began: an issue of its own, with its progress as comments.";
    let rolled_back = "A deployment went back or failed by itself: an issue with the evidence.";
    object(
        "Which events open or update issues in the repository.",
        [
            wanted("pipelineFailed", failed, "pipelineFailed", false),
            wanted("deployment", deployment, "followedDeployment", false),
            wanted("rolledBack", rolled_back, "rolledBack", true),
            to("alert", "What `grit issue ingest --format alertmanager` makes.", "alert"),
            to("testFailed", "What `grit issue ingest --format junit` makes.", "testFailed"),
        ],
    )
}

fn labels(names: &[&str]) -> Property {
    default(strings("labels", "What its issues are labelled with."), names)
}

fn flag(name: &'static str, doc: &str, value: bool) -> Property {
    (name, json!({ "description": doc, "type": "boolean", "default": value }))
}

fn recurring(names: &[&str]) -> Vec<Property> {
    vec![
        labels(names),
        flag("reopen", "What comes back opens its issue again; else it gets a new one.", true),
        flag("close", "What is over closes its issue; else that is only said.", false),
    ]
}

fn pipeline_failed() -> Value {
    let names: Vec<&str> = issues::Per::ALL.iter().map(|(name, _)| *name).collect();
    let doc = "What failures share an issue: those of a workflow on a branch, all of a workflow, or those at a commit.";
    let per = json!({ "description": doc, "enum": names, "default": names[0] });
    let properties = recurring(issues::PIPELINE_LABELS).into_iter().chain([("per", per)]);
    object("Failed runs.", properties)
}

fn followed_deployment() -> Value {
    object(
        "Deployments that have an issue.",
        [
            labels(issues::DEPLOYMENT_LABELS),
            strings("environments", "Those to these; all unless written."),
            flag("close", "The one that succeeded closes its issue.", true),
        ],
    )
}
