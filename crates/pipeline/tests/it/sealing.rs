//! What only the runner knows stands as marks.

use grit_pipeline::run::{Ending, TOKEN};
use grit_pipeline::seal::{self, Sealed};
use grit_pipeline::{AnnotationLevel, Conclusion, StepAction, StepOutcome, StepSpec};
use serde_json::{Value, json};

use crate::harness::{World, by_script, ended, job, plan, request, script, step};

/// What the runner knows, and nobody else.
fn known(text: &str) -> Result<String, String> {
    seal::unsealed(text, "w0rd", |sealed| match sealed {
        Sealed::Secret(name) => Ok(secret(name).to_owned()),
        Sealed::Kept(name) => Ok(format!("kept {name}")),
        Sealed::Files(patterns) => digest(patterns),
        Sealed::Expression(deferred) => Ok(deferred.evaluate(&known, &digest)?.to_text()),
    })
}

fn secret(name: &str) -> &'static str {
    match name {
        "TOKEN" => "token-1",
        "DATA" => r#"{"key": "a \"b\"", "n": [1, 2]}"#,
        _ => "",
    }
}

fn digest(patterns: &[String]) -> Result<String, String> {
    Ok(if patterns == ["absent"] { String::new() } else { format!("of {}", patterns.join(" ")) })
}

/// As a runner has it.
fn answer(spec: &StepSpec) -> StepOutcome {
    let holds = spec
        .condition
        .as_ref()
        .is_none_or(|condition| condition.evaluate(&known, &digest).expect("a value").is_truthy());
    if holds { by_script(spec) } else { ended(Conclusion::Skipped) }
}

/// A job with these steps, and what they may read; there are three secrets, one of them empty.
fn world(steps: &Value) -> World {
    let env = json!([["A", "is ${{ secrets.TOKEN }}"], ["NO", "${{ secrets.EMPTY }}"]]);
    let mut request = request(plan(&[job("a", json!({"env": env, "steps": steps}))]));
    request.secrets = ["TOKEN", "DATA", "EMPTY"].map(str::to_owned).into();
    World::new(request)
}

#[test]
fn expressions_that_look_into_a_secret_are_answered_by_the_runner() {
    let cases = [
        ("${{ secrets.TOKEN != '' }}", "true"),
        ("${{ secrets.EMPTY != '' }} ${{ secrets.NONE != '' }}", "false false"),
        ("${{ fromJSON(secrets.DATA).key }}", "a \"b\""),
        ("${{ join(fromJSON(secrets.DATA).n, '-') }}", "1-2"),
        ("${{ startsWith(secrets.TOKEN, 'TOK') }}", "true"),
        ("${{ contains(secrets.TOKEN, 'x') }}", "false"),
        ("${{ format('{0}@{1}', secrets.TOKEN, github.ref_name) }}", "token-1@main"),
        ("${{ secrets.TOKEN == 'TOKEN-1' }}", "true"),
        ("${{ secrets.EMPTY && 'yes' || 'no' }}", "no"),
        ("${{ secrets.TOKEN || 'none' }}", "token-1"),
        ("${{ github.ref == 'x' && secrets.TOKEN || 'other' }}", "other"),
        ("${{ toJSON(secrets.DATA) }}", r#""{\"key\": \"a \\\"b\\\"\", \"n\": [1, 2]}""#),
        ("${{ secrets[format('{0}', 'token')] }}", "token-1"),
        ("${{ case(secrets.TOKEN == 'token-1', 'one', 'two') }}", "one"),
        ("${{ !env.NO }} ${{ env.A == 'is token-1' }} ${{ env.A }}", "true true is token-1"),
        ("${{ hashFiles('a', 'b') }}, ${{ hashFiles('absent') == '' }}", "of a b, true"),
    ];
    let steps = cases.map(|(text, _)| step("x", json!({"env": [["V", text]]})));
    let mut world = world(&json!(steps));
    world.go(answer);
    assert_eq!(world.ending(), Ending::Success);
    for (spec, (text, wanted)) in world.specs().into_iter().zip(cases) {
        assert_eq!(known(&spec.env["V"]).as_deref(), Ok(wanted), "{text}");
        assert!(!seal::is_sealed(&spec.title, "w0rd"), "{text}");
    }
}

#[test]
fn a_step_is_skipped_by_what_only_the_runner_knows() {
    let uses = |uses: &str, condition: &str| json!({"if": condition, "action": {"uses": {"uses": uses, "with": []}}});
    let mut world = world(&json!([
        step("0", json!({"if": "env.A == 'is token-1'"})),
        step("1", json!({"if": "env.NO != ''"})),
        step("2", json!({"if": "hashFiles('absent') != ''"})),
        step("3", json!({"if": "${{ hashFiles('a') != '' && success() }}"})),
        step("", uses("docker/login-action@v3", "env.NO")),
        step("", uses("actions/upload-artifact@v4", "env.NO != ''")),
        step("exit 1", json!({"if": "env.A", "continue_on_error": "true"})),
        step("7", json!({"if": "failure() && env.A"})),
        step("8", json!({"if": "contains(env.UNKNOWN, 'x') || github.ref == 'x'"})),
        step("9", json!({"name": "with ${{ env.A != '' }}", "if": "startsWith(env.A, 'IS')"})),
    ]));
    world.go(answer);
    let steps = &world.run.jobs[0].steps;
    let endings: Vec<&str> =
        steps.iter().map(|step| step.ending.map_or("-", Ending::as_str)).collect();
    let [done, not] = ["success", "skipped"];
    assert_eq!(endings, [done, not, not, done, not, not, "failure", not, not, done]);
    assert_eq!((steps[9].title.as_str(), world.ending()), ("with ***", Ending::Success));
    assert!(world.run.jobs[0].posts.is_empty(), "nothing was logged in to");
    let asked = world.specs().iter().filter(|spec| spec.condition.is_some()).count();
    assert_eq!(asked, 8, "what is known is not asked");
}

#[test]
fn outputs_that_look_into_a_secret_are_asked_for_after_the_last_step() {
    let outputs = json!([
        ["has", "${{ secrets.TOKEN != '' }}"],
        ["word", "${{ secrets.TOKEN || 'none' }}"],
        ["whole", "${{ secrets.TOKEN }}"],
    ]);
    let got =
        "got ${{ needs.a.outputs.has }} [${{ needs.a.outputs.word }}${{ needs.a.outputs.whole }}]";
    let mut request = request(plan(&[
        job("a", json!({"outputs": outputs, "steps": [step("x", json!({}))]})),
        job("b", json!({"needs": ["a"], "steps": [step(got, json!({}))]})),
    ]));
    request.secrets = ["TOKEN".to_owned()].into();
    let mut world = World::new(request);
    world.go(|spec| {
        let mut outcome = by_script(spec);
        if let StepAction::Answer { texts } = &spec.action {
            outcome.outputs =
                texts.iter().map(|(name, text)| (name.clone(), known(text).unwrap())).collect();
            let mark = Sealed::Kept("1.0".to_owned()).mark("w0rd");
            assert_eq!(outcome.outputs.insert("word".to_owned(), mark).as_deref(), Some("token-1"));
        }
        outcome
    });
    assert_eq!(world.scripts(), ["x", "answer", "got true []"]);
    assert_eq!(world.ending(), Ending::Success);
    assert_eq!(world.run.views()[0].annotations.kept.len(), 2);
}

#[test]
fn a_job_has_a_token_once_it_is_there() {
    let own = json!({"if": "contains(toJSON(github), 'refs/heads/main') && github.token == ''",
        "steps": [step("x", json!({"env": [["T", "${{ github.token }}"]]}))]});
    let mut request = request(plan(&[job("a", own)]));
    request.secrets = [TOKEN.to_owned()].into();
    let mut world = World::new(request);
    world.play();
    assert_eq!(world.ending(), Ending::Success);
    let mark = Sealed::Secret(TOKEN.to_owned()).mark("w0rd");
    assert_eq!(world.specs()[0].env["T"], mark);
}

#[test]
fn what_cannot_be_done_fails_only_where_it_is_to_be_done() {
    let refused = |condition: &str| {
        let uses = json!({"uses": {"uses": "actions/upload-artifact@v4", "with": []}});
        let mut world = world(&json!([step("", json!({"if": condition, "action": uses}))]));
        world.go(|spec| match answer(spec).conclusion {
            Conclusion::Skipped => ended(Conclusion::Skipped),
            _ => StepOutcome::unable(script(spec).to_owned()),
        });
        (world.ending(), world.run.jobs[0].steps[0].note.clone())
    };
    assert_eq!(refused("env.NO != ''"), (Ending::Success, String::new()));
    let (ending, note) = refused("env.A != ''");
    assert_eq!(ending, Ending::Failure);
    assert!(note.contains("path"), "{note}");
}

#[test]
fn what_holds_a_secret_goes_to_later_steps_and_to_no_other_job() {
    let mark = Sealed::Kept("0.0".to_owned()).mark("w0rd");
    let outputs = json!([
        ["hidden", "is ${{ steps.give.outputs.hidden }}"],
        ["plain", "${{ steps.give.outputs.plain }}"],
    ]);
    let steps = json!([
        step("give", json!({"id": "give"})),
        step("use ${{ steps.give.outputs.hidden }} ${{ env.E }}", json!({})),
    ]);
    let got = "got [${{ needs.a.outputs.hidden }}] ${{ needs.a.outputs.plain }}";
    let mut world = World::of(&[
        job("a", json!({"outputs": outputs, "steps": steps})),
        job("b", json!({"needs": ["a"], "steps": [step(got, json!({}))]})),
    ]);
    world.go(|spec| {
        let mut outcome = by_script(spec);
        if script(spec) == "give" {
            outcome.outputs.insert("hidden".to_owned(), mark.clone());
            outcome.outputs.insert("plain".to_owned(), "yes".to_owned());
            outcome.env.insert("E".to_owned(), mark.clone());
        }
        outcome
    });
    let used = format!("use {mark} {mark}");
    assert_eq!(world.scripts(), ["give", used.as_str(), "got [] yes"]);
    let views = world.run.views();
    let [said] = views[0].annotations.kept.as_slice() else { panic!("{:?}", views[0]) };
    assert_eq!(said.level, AnnotationLevel::Warning);
    assert_eq!(said.message, "The output `hidden` is left empty: it may hold a secret.");
    assert!(views[1].annotations.is_empty());
}
