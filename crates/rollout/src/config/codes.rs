//! The codes of `grit.yaml`: `E0201` to `E0299`.

grit_diag::define_codes! {
    /// `needs` names a service that is not there.
    UNKNOWN_SERVICE = "E0201", "a service is needed that is not declared",
        "`needs` lists services of the same file that are deployed before this one. The name \
         given is none of them.\n\
         \n\
         Check the spelling, or declare the service under `services`.";

    /// `after` names an environment that is not there.
    UNKNOWN_ENVIRONMENT = "E0202", "an environment comes after one that is not declared",
        "`after` names the environment of the same file in which the same digest must have \
         succeeded first. The name given is none of them.\n\
         \n\
         Check the spelling, or declare the environment under `environments`.";

    /// `strategy` names one that is not there.
    UNKNOWN_STRATEGY = "E0203", "an environment uses a strategy that is not declared",
        "`strategy` is the name of a strategy declared under `strategies`, or one of the two that \
         are built in: `rolling` (one instance after the other) and `canary` (5, 20, 50 percent of \
         the traffic, ten minutes each, then all).\n\
         \n\
         strategies:\n\
         \x20 careful:\n\
         \x20   canary: { steps: [{ setWeight: 5 }, { pause: { duration: 10m } }] }";

    /// `needs` or `after` lead back to where they began.
    CYCLE = "E0204", "an order leads back to where it began",
        "`needs` and `after` say what comes first. Followed from one to the next, the marked ones \
         come back to their start, so that none of them could ever be deployed.\n\
         \n\
         Remove one link of the cycle that the finding names.";

    /// Two services share an image.
    SHARED_IMAGE = "E0205", "two services have the same image",
        "An artifact that is pushed belongs to the service whose `image` it is pushed under; with \
         the same name twice, a push would not say what it is for. Without `image` a service's own \
         name is taken.\n\
         \n\
         Push it under one name for each service, even if the content is the same: it is stored \
         only once.";

    /// A canary without steps.
    NO_STEPS = "E0206", "a canary has no step",
        "A canary gives a new revision its traffic step by step. Without a step it would give all \
         of it at once, unseen.\n\
         \n\
         canary: { steps: [{ setWeight: 20 }, { pause: { duration: 10m } }] }\n\
         \n\
         To replace instances one after the other, write `rolling: {}`.";

    /// A mapping that must have exactly one of several keys.
    ONE_OF = "E0207", "exactly one of several keys is expected",
        "A step, a gate and a strategy are each of one kind, and the key says which: \
         `setWeight`, `pause` or `analysis`; `checks` or `approval`; `canary` or `rolling`. Two \
         kinds in one mapping would leave open which comes first.\n\
         \n\
         - setWeight: 20\n\
         - pause: { duration: 10m }";

    /// A strategy with the name of a built-in one.
    BUILT_IN_NAME = "E0208", "a strategy has the name of a built-in one",
        "`rolling` and `canary` can be used everywhere without being declared. A strategy of your \
         own with the same name would change what these words mean in this repository alone.\n\
         \n\
         Give it another name, such as `careful`.";

    /// `lock` as a gate.
    LOCK_GATE = "E0209", "locks are not there yet",
        "A gate `lock: NAME` will hold a deployment until the named lock is free, and hold the lock \
         while it runs. Named locks are kept by the issue tracker, which does not keep any in this \
         version of Grit; a gate that nothing checks would only look safe.\n\
         \n\
         Remove the line. At most one rollout runs per service and environment anyway; where a \
         person must agree, ask for an approval:\n\
         \n\
         gates: [{ approval: { min: 1, roles: [Admin] } }]";

    /// A metric that is not measured.
    UNKNOWN_METRIC = "E0210", "a metric is not known",
        "An analysis measures what the edge sees: `success-rate` (percent of requests answered \
         without a 5xx, a timeout or a broken connection, with `min`), and `latency-p50`, \
         `latency-p95`, `latency-p99` (what that share of requests stays below, with `max`).\n\
         \n\
         metrics: [{ name: success-rate, min: 99 }, { name: latency-p99, max: 500ms }]";

    /// A role that is not there.
    UNKNOWN_ROLE = "E0211", "a role is not known",
        "The roles are `Viewer`, `Member`, `Admin` and `Owner`; each includes those before it, so \
         that a gate which asks for an Admin also takes an Owner.";

    /// Text that cannot be the name, path or pattern it should be.
    BAD_NAME = "E0212", "a name, path or pattern cannot be used",
        "Names become parts of host names, paths and references, so they are checked where they \
         are written. Services and environments: up to 63 of `a-z`, `0-9`, `.`, `_`, `-`. Images: \
         such parts, separated by `/`. Sources: paths below the root of the repository. Patterns \
         for branches and tags: names in which `*` stands for anything but `/`, and `**` for \
         anything.";

    /// `when` without any condition.
    EMPTY_WHEN = "E0213", "`when` names neither a branch nor a tag",
        "`when` says which pushes are deployed to an environment. Without a branch or a tag it \
         matches none.\n\
         \n\
         when: { branch: main }\n\
         when: { tag: \"v*\" }\n\
         \n\
         To deploy there only by hand, leave `when` out.";

    /// More items than are read.
    TOO_MANY = "E0214", "there are too many items",
        "Up to 200 services, environments, strategies, and items of one list are read. A longer \
         list is almost always generated by mistake.";

    /// An analysis step that has nothing to measure.
    NOTHING_TO_MEASURE = "E0215", "an analysis step comes before any weight",
        "An analysis measures the traffic of the new revision. Before the first `setWeight` above 0 \
         it has none, so that the step would never have anything to say.\n\
         \n\
         steps: [{ setWeight: 5 }, { analysis: { count: 3 } }]";
}
