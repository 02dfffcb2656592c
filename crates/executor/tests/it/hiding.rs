//! What steps give to later ones when it is secret: those get it, and nobody else reads it.

use grit_pipeline::{Runner, StepOutcome, StepSpec};

use crate::ground::{PASSWORD, TOKEN, effect, job, step};
use crate::world::{World, patiently, run, succeed};

/// Gives a secret in every way there is; `Z3JpdC10` is how its base64 begins.
const GIVE: &str = "
    echo \"url=https://ann:$GRIT_TOKEN@host/\" >> $GITHUB_OUTPUT
    echo \"plain=yes\" >> $GITHUB_OUTPUT
    echo \"::set-output name=old::$GRIT_TOKEN\"
    printf 'BOTH<<E\\n%s\\n%s\\nE\\n' \"$P\" \"$GRIT_TOKEN\" >> $GITHUB_ENV
    echo \"CODED=$(printf %s $GRIT_TOKEN | base64)\" >> $GITHUB_ENV
    echo \"left=$P\" >> $GITHUB_STATE
    echo ::add-mask::found-later; echo \"FOUND=a found-later b\" >> $GITHUB_ENV
    echo \"/opt/$P/bin\" >> $GITHUB_PATH
    echo \"$GRIT_TOKEN=1\" >> $GITHUB_OUTPUT";

const TOLD: [&str; 4] = [TOKEN, PASSWORD, "Z3JpdC10", "found-later"];

/// The step after it, as the run's decider would have it.
fn next(given: &StepOutcome) -> StepSpec {
    let script = format!(
        "test \"$URL\" = 'https://ann:{TOKEN}@host/'; test \"$OLD\" = {TOKEN}
        test \"$BOTH\" = '{PASSWORD}\n{TOKEN}'; test \"$FOUND\" = 'a found-later b'
        test \"$(printf %s $CODED | base64 -d)\" = {TOKEN}; test \"$LEFT\" = '{PASSWORD}'
        case \"$PATH\" in '/opt/{PASSWORD}/bin:'*) ;; *) exit 9;; esac"
    );
    let mut next = step(1, &script);
    next.env = given.env.clone();
    let [url, old] = ["url", "old"].map(|name| given.outputs[name].clone());
    next.env.extend([("URL".to_owned(), url), ("OLD".to_owned(), old)]);
    next.env.insert("LEFT".to_owned(), given.state["left"].clone());
    next.path = given.path.clone();
    next
}

#[tokio::test]
async fn an_outcome_tells_no_secret_and_later_steps_get_it_all_the_same() {
    let world = World::new();
    let runner = world.ready().await;
    let mut give = step(0, GIVE);
    give.env.insert("P".to_owned(), PASSWORD.to_owned());
    let given = run(&runner, &give).await;
    assert_eq!(given.outputs["plain"], "yes");
    assert_eq!(given.outputs["***"], "1", "{given:?}");
    let told = serde_json::to_string(&given).unwrap();
    let record = std::fs::read_to_string(world.folder().join("steps/0.json")).unwrap();
    for secret in TOLD {
        assert!(!told.contains(secret) && !record.contains(secret), "{secret}: {told} {record}");
    }
    succeed(&runner, &next(&given)).await;
    runner.close().await;
    let runner = world.open().await;
    assert_eq!(run(&runner, &give).await, given, "the same again, from its record");
    succeed(&runner, &StepSpec { index: 2, ..next(&given) }).await;
}

#[tokio::test]
async fn what_may_be_secret_is_read_by_nobody_else_and_goes_with_the_job() {
    let world = World::new();
    let runner = world.ready().await;
    succeed(&runner, &step(0, "echo \"A=$GRIT_TOKEN\" >> $GITHUB_ENV; echo ::add-mask::hush-hush"))
        .await;
    let look = "stat -c '%a %n' \"$0\" $GITHUB_ENV $GITHUB_OUTPUT $GITHUB_STATE $GITHUB_STEP_SUMMARY \
        ../steps/0.json ../steps/0.kept.json ../masks.json | cut -d' ' -f1 | sort | uniq -c | tr -s ' '";
    assert_eq!(succeed(&runner, &step(1, look)).await, " 7 600\n 1 700\n");
    patiently("clean", runner.clean(&effect(9), job().job)).await.unwrap();
    assert!(!world.folder().exists());
}
