//! What dialects report: `E0101` and up, `W0101` and up.

grit_diag::define_codes! {
    /// An expression that cannot be read.
    EXPRESSION = "E0101", "an expression cannot be read",
        "The text between `${{` and `}}`, or under `if`, is not an expression. The marked place is \
         where it goes wrong.\n\
         \n\
         Text in expressions stands in single quotes ('main', and '' for a quote in it); \
         double quotes are not known there. `==` compares, `=` does not exist.";

    /// A context or function that this key does not have.
    NOT_HERE = "E0102", "a context or a function is not available at this key",
        "Each key of a workflow is read at a certain moment, and only what is known then can be \
         used in it: `env` of a job cannot use `env`, `if` of a job cannot use `matrix`, \
         because the job is not expanded before its condition holds.\n\
         \n\
         The contexts that may be used are listed with the finding.";

    /// An expression where only text may stand.
    NO_EXPRESSION = "E0103", "an expression is not allowed here",
        "This key is read before any value is known, so it must be written out: names of jobs and \
         events, `uses`, the keys of mappings.";

    /// An event that does not exist.
    UNKNOWN_EVENT = "E0104", "no such event starts workflows",
        "`on` names the events that start the workflow: `push`, `pull_request`, \
         `workflow_dispatch`, `schedule` and others of GitHub's list.";

    /// `branches` and `branches-ignore` together, or their like.
    BOTH_FILTERS = "E0105", "a filter and its `-ignore` form cannot both be set",
        "`branches` says which branches start the workflow, `branches-ignore` which do not; with \
         both, one of them would silently not count. Use `branches` alone, with patterns that \
         begin with `!` for what is to be left out.";

    /// A filter pattern that cannot be read.
    PATTERN = "E0106", "a pattern cannot be read",
        "Patterns of `branches`, `tags` and `paths` know `*` (not `/`), `**`, `[a-z]`, and `?` and \
         `+` after a character. `\\` takes the next character as it is.";

    /// Only patterns with `!`.
    ONLY_NEGATIVE = "E0107", "a filter has only patterns that leave something out",
        "A pattern that begins with `!` takes back what patterns before it gave. Where there are \
         none before it, nothing is ever selected. Begin with `\"**\"`, or use the `-ignore` form.";

    /// A cron line that cannot be read.
    CRON = "E0108", "a schedule is no cron line",
        "A schedule has five fields: minute, hour, day of month, month, day of week. Times are UTC.";

    /// No jobs.
    NO_JOBS = "E0109", "the workflow has no jobs",
        "A workflow without jobs does nothing. Under `jobs`, each key is the id of a job.";

    /// An id with characters that ids cannot have.
    INVALID_ID = "E0110", "an id cannot be used",
        "Ids of jobs and steps begin with a letter or `_`, then have letters, digits, `_` or `-`, \
         and are at most 100 characters long, because expressions name them (`needs.build`). \
         What people read goes into `name`.";

    /// Two jobs or steps of one id.
    DUPLICATE_ID = "E0111", "an id is used twice",
        "Ids are unique, whatever their case: the jobs of a workflow, and the steps of a job.";

    /// `needs` names a job that is not there.
    UNKNOWN_NEED = "E0112", "`needs` names a job that does not exist",
        "`needs` names jobs of the same workflow by their ids, which are their keys under `jobs`, \
         not their names.";

    /// Jobs that need each other.
    CYCLE = "E0113", "jobs need each other in a circle",
        "A job starts when those that it needs are done. In a circle, each waits for another for \
         ever. The circle is named with the finding.";

    /// A job that has neither `runs-on` nor `uses`.
    NO_RUNNER = "E0114", "a job says neither `runs-on` nor `uses`",
        "`runs-on` names the runner of the job's steps: `runs-on: ubuntu-latest`. A job that \
         calls another workflow has `uses` in its place, and no steps.";

    /// `uses` together with what a job with steps has.
    CALL_AND_STEPS = "E0115", "a job cannot both call a workflow and have steps",
        "A job either runs steps on a runner (`runs-on`, `steps`) or calls a workflow (`uses`).";

    /// A step with both `run` and `uses`.
    USES_AND_RUN = "E0116", "a step cannot have both `uses` and `run`",
        "A step does one thing: it runs a script or it uses an action. Make two steps of it.";

    /// A step with neither.
    NO_ACTION = "E0117", "a step has neither `run` nor `uses`",
        "A step runs a script (`run: cargo test`) or uses an action (`uses: actions/checkout@v4`).";

    /// A key that goes with `run` on a step with `uses`, or the other way.
    WRONG_ACTION_KEY = "E0118", "a key does not go with what the step does",
        "`shell` and `working-directory` belong to `run`, `with` to `uses`.";

    /// `uses` in a form that names no action.
    USES_SYNTAX = "E0119", "`uses` names no action",
        "An action is `owner/repo@ref` or `owner/repo/path@ref`, `./path` in the same repository, \
         or `docker://image`. A workflow that a job calls is \
         `owner/repo/.github/workflows/file.yml@ref` or `./.github/workflows/file.yml`.";

    /// A timeout that is no positive number.
    TIMEOUT = "E0120", "a timeout is not a number above 0",
        "`timeout-minutes` is a number of minutes above 0, or an expression that gives one.";

    /// A matrix without combinations.
    MATRIX = "E0121", "a matrix has no combinations or too many",
        "Each vector of a matrix is a list with at least one value; `include` and `exclude` are \
         lists of mappings. A matrix has at most 256 combinations.";

    /// A permission that does not exist.
    PERMISSION = "E0122", "no such permission",
        "`permissions` is `read-all`, `write-all`, `{}`, or a mapping of scopes (`contents`, \
         `packages`, …) to `read`, `write` or `none`.";

    /// A tag of YAML that workflows do not have.
    TAG = "E0123", "a YAML tag is not known in workflows",
        "Workflows know the tags of YAML's core schema alone: `!!str`, `!!int`, `!!float`, `!!bool`, \
         `!!null`. Remove the tag.";

    /// Too many jobs or steps.
    TOO_MANY = "E0124", "there are too many jobs or steps",
        "A workflow has at most 1,000 jobs and a job at most 1,000 steps.";

    /// A shell that does not exist.
    SHELL = "E0125", "a shell cannot be used",
        "`shell` is `bash`, `sh`, `python`, `pwsh`, or a command line with `{0}` where the path of \
         the script goes: `shell: perl {0}`.";

    /// A call that does not fit what is called.
    CALL = "E0126", "a call does not fit the workflow that it calls",
        "A workflow is called by another only where it has `on: workflow_call`, with the inputs and \
         secrets that it declares there: those that are required, and no others. Calls are at most \
         ten deep, and none comes back to a workflow that is being called.";

    /// Permissions that a caller does not have.
    BEYOND = "E0127", "a called workflow asks for more than its caller may give",
        "The jobs of a called workflow have at most the permissions of the job that calls it. \
         Give that job the `permissions` that are asked for, or ask for less.";

    /// An action that cannot be run.
    ACTION = "E0128", "an action cannot be run",
        "`runs.using` of an action is `composite`, `docker`, or `node20` and its like. Each `run` \
         step of a composite action says its `shell`.";

    /// A queue of a concurrency group that is none.
    CONCURRENCY = "E0129", "a concurrency group cannot be in that queue",
        "`queue` of `concurrency` says what becomes of those that wait: with `single`, which is the \
         default, only the last of them runs; with `max` up to 100 wait, and run one after the \
         other. `max` goes with no `cancel-in-progress: true`.";

    /// A number that is written otherwise than it was.
    NUMBER = "W0101", "a number loses its last digits",
        "YAML reads `3.10` as the number 3.1, and that is what the job sees. Write \"3.10\" in \
         quotes for the text.";

    /// Text around an expression under `if`.
    ALWAYS_TRUE = "W0102", "a condition is always true",
        "Under `if`, text around `${{ }}` makes all of it text, and text is true: \
         `${{ false }} == true` holds. Write all of it as one expression.";

    /// A job without steps.
    NO_STEPS = "W0103", "a job has no steps",
        "The job does nothing, and succeeds.";

    /// A key of an event that is not known.
    EVENT_KEY = "W0104", "a key of an event is not known",
        "The key has no effect.";

    /// A value from outside in a script.
    INJECTION = "W0110", "a value that anybody may write becomes part of a script",
        "`${{ }}` in `run` is put into the script before the shell reads it. Titles, messages, bodies \
         and names of branches are written by whoever opens an issue, pushes a branch or sends a \
         pull request: with `a\";touch${IFS}pwn;#` as its name, a branch runs commands in the job.\n\
         \n\
         Give it as a variable, which the shell takes as it is:\n\
         \n\
         - env: { TITLE: \"${{ github.event.issue.title }}\" }\n\
         \x20 run: echo \"$TITLE\"";

    /// A pull request's own code, run with rights that it should not have.
    FOREIGN_CHECKOUT = "W0111", "code of a pull request is checked out where secrets are",
        "`pull_request_target` and `workflow_run` start in the context of the target branch: with its \
         secrets, and a token that may write. A checkout of the pull request's own commit there \
         lets whoever opened it run code with both.\n\
         \n\
         Build on `pull_request`, which has neither, and do what needs rights in a workflow that \
         runs nothing of the pull request; or let a person approve it by an `environment`.";

    /// What a pull request of a fork does not get.
    FORK = "W0112", "a pull request from outside does not get this",
        "Runs for pull requests of forks have a token that only reads and no id token, whatever \
         `permissions` says, and every secret is empty. The job should do without, or say \
         `if: github.event.pull_request.head.repo.full_name == github.repository`.";

    /// A container that is none.
    CONTAINER = "W0113", "a container is given the machine it runs on",
        "`--privileged`, the host's process or user namespace, the engine's socket and the root of \
         the file system give a container everything that the machine has. It runs only where the \
         server's owner trusts the repository.";

    /// A variable that steps may not set.
    RESERVED = "W0114", "a step sets a variable that is refused",
        "`NODE_OPTIONS`, `LD_PRELOAD` and all else that begins with `LD_`, and names that begin with \
         `GRIT_` cannot be set through GITHUB_ENV: one step would run code in every later one, or \
         say who is running. The step fails. Set it for the steps that need it, with `env`.";

    /// Text from outside is printed where commands are read.
    PRINTED = "W0115", "text that anybody may write is printed, and may hold commands",
        "Lines such as `::set-output name=x::y` or `::add-mask::` in the output of a step are \
         commands. A step that prints the text of an issue or a commit lets its author give some.\n\
         \n\
         Print it between `echo \"::stop-commands::$token\"` and `echo \"::$token::\"` with a token \
         that nobody can guess, or not at all.";
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_unique() {
        assert_eq!(grit_diag::code::shared_id(&[super::ALL, grit_diag::codes::ALL]), None);
    }
}
