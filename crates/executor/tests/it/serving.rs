//! The services that actions expect, asked the way the toolkit asks: by a program of Node, with the
//! variables that a step is given.

use std::fs;
use std::path::Path;

use grit_pipeline::keep::{DownloadSpec, JobScope, UploadSpec};
use grit_pipeline::plan::{Access, Permissions};
use grit_pipeline::{Conclusion, JobSpec, StepAction};
use grit_testkit::tool;

use crate::ground::{inside, job};
use crate::keeping::Job;
use crate::world::World;

/// Node, or a failure that says what to install.
fn node() {
    tool("node", "nodejs");
}

pub const TOOLKIT: &str = include_str!("toolkit.mjs");

/// Runs a program that has the toolkit's calls before it, as an action's.
async fn act(job: &mut Job<'_>, world: &World, name: &str, program: &str) -> (i32, String) {
    let path = world.data().join(format!("{name}.mjs"));
    fs::write(&path, format!("{TOOLKIT}\n{program}\n")).unwrap();
    let action = StepAction::Node { program: path.display().to_string() };
    let env = [
        ("GITHUB_REPOSITORY", "local/shop"),
        ("GITHUB_REPOSITORY_OWNER", "local"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_EVENT_NAME", "push"),
    ];
    let (outcome, log) = job.act_with(action, &env).await;
    match outcome.conclusion {
        Conclusion::Exited(code) => (code, log),
        other => panic!("{other:?}: {log}"),
    }
}

async fn succeed(job: &mut Job<'_>, world: &World, name: &str, program: &str) -> String {
    let (code, log) = act(job, world, name, program).await;
    assert_eq!(code, 0, "{log}");
    log
}

#[tokio::test]
async fn artifacts_by_the_results_service() {
    node();
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    job.script("mkdir out; echo built > out/a.txt").await;
    let built = UploadSpec {
        name: "built".to_owned(),
        paths: vec!["out".to_owned()],
        ..Default::default()
    };
    job.act(StepAction::Upload(built)).await;
    let program = r#"
        const zip = archive([["b/c.txt", "by an action"]])
        await upload("acted", zip, 7)
        const again = await rpc("ArtifactService", "CreateArtifact", { ...ids, name: "acted", version: 4 })
        check(again.status === 409, `taken: ${again.status}`)
        const listed = await ok(rpc("ArtifactService", "ListArtifacts", ids))
        check(listed.artifacts.length === 2, JSON.stringify(listed))
        const one = await ok(rpc("ArtifactService", "ListArtifacts", { ...ids, name_filter: "acted" }))
        check(one.artifacts[0].digest === `sha256:${sha256(zip)}`, "the digest is that of the archive")
        const { signed_url } = await ok(rpc("ArtifactService", "GetSignedArtifactURL", { ...ids, name: "built" }))
        const got = Buffer.from(await (await fetch(signed_url)).arrayBuffer())
        check(got.includes("a.txt") && got.includes("built"), "an archive of files that a step kept")
        check(sha256(got) === listed.artifacts.find(a => a.name === "built").digest.slice(7), "the same digest")
        for (const name of ["../up", "a/b", ""]) {
            const refused = await rpc("ArtifactService", "CreateArtifact", { ...ids, name, version: 4 })
            check(refused.status === 400, `${name}: ${refused.status}`)
        }
        const other = await rpc("ArtifactService", "ListArtifacts", { ...ids, workflow_run_backend_id: "run_other" })
        check(other.status === 403, `of another run: ${other.status}`)
        const bare = await fetch(new URL("/twirp/github.actions.results.api.v1.ArtifactService/ListArtifacts", results),
            { method: "POST", body: "{}" })
        check(bare.status === 401, `without a token: ${bare.status}`)
        console.log("token", process.env.ACTIONS_RUNTIME_TOKEN)
    "#;
    let log = succeed(&mut job, &world, "upload", program).await;
    assert!(log.contains("token ***"), "the token is no text for a log: {log}");

    let mut next = Job::begin(&runner, "next", inside("refs/heads/main")).await;
    let acted =
        DownloadSpec { name: "acted".to_owned(), path: "in".to_owned(), ..Default::default() };
    let (outcome, log) = next.act(StepAction::Download(acted)).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(0), "{log}");
    assert!(next.script("cat in/b/c.txt").await.contains("by an action"));
    runner.close().await;
}

/// What an archive says of its names is believed nowhere.
#[tokio::test]
async fn an_archive_that_leads_out_is_refused() {
    node();
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    let program = r#"await upload("evil", archive([["../../evil.txt", "x"]]), 7)"#;
    succeed(&mut job, &world, "evil", program).await;
    let evil =
        DownloadSpec { name: "evil".to_owned(), path: "in".to_owned(), ..Default::default() };
    let (outcome, log) = job.act(StepAction::Download(evil)).await;
    assert_eq!(outcome.conclusion, Conclusion::Exited(1), "{log}");
    assert!(log.contains("leads out"), "{log}");
    assert!(!found(world.data(), "evil.txt"));
    runner.close().await;
}

fn found(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).any(|entry| {
        let is_folder = entry.file_type().unwrap().is_dir();
        entry.file_name() == name || (is_folder && found(&entry.path(), name))
    })
}

pub const KEEP: &str = r#"
    const bytes = Buffer.from("packed ".repeat(1000))
    const made = await ok(rpc("CacheService", "CreateCacheEntry", { key: KEY, version: "v" }))
    check(made.ok, JSON.stringify(made))
    await put(made.signed_upload_url, bytes)
    const kept = await ok(rpc("CacheService", "FinalizeCacheEntryUpload",
        { key: KEY, version: "v", size_bytes: String(bytes.length) }))
    check(kept.ok, JSON.stringify(kept))
    const twice = await ok(rpc("CacheService", "CreateCacheEntry", { key: KEY, version: "v" }))
    check(!twice.ok, "never replaced")
"#;

pub const FIND: &str = r#"
    const found = await ok(rpc("CacheService", "GetCacheEntryDownloadURL",
        { key: "none", restore_keys: ["k-"], version: "v" }))
    console.log("found", found.matched_key)
    if (found.ok) {
        const part = await fetch(found.signed_download_url, { headers: { range: "bytes=7-12" } })
        check(part.status === 206 && await part.text() === "packed", "a range")
        const head = await fetch(found.signed_download_url, { method: "HEAD" })
        check(head.headers.get("content-length") === "7000", "its length")
        const whole = await fetch(found.signed_download_url)
        check((await whole.arrayBuffer()).byteLength === 7000, "all of it")
    }
"#;

#[tokio::test]
async fn caches_by_the_results_service_are_apart_by_trust() {
    node();
    let world = World::new();
    let runner = world.open().await;
    let stranger =
        JobScope { trust: grit_pipeline::keep::Trust::Outside, ..inside("refs/heads/main") };
    let mut stranger = Job::begin(&runner, "stranger", stranger).await;
    succeed(&mut stranger, &world, "poison", &KEEP.replace("KEY", "\"k-poison\"")).await;
    let mut push = Job::begin(&runner, "push", inside("refs/heads/main")).await;
    let log = succeed(&mut push, &world, "find", FIND).await;
    assert!(log.contains("found undefined"), "{log}");
    succeed(&mut push, &world, "keep", &KEEP.replace("KEY", "\"k-good\"")).await;
    let log = succeed(&mut push, &world, "find", FIND).await;
    assert!(log.contains("found k-good"), "{log}");
    let mut topic = Job::begin(&runner, "topic", inside("refs/heads/topic")).await;
    let log = succeed(&mut topic, &world, "find", FIND).await;
    assert!(log.contains("found k-good"), "{log}");
    runner.close().await;
}

#[tokio::test]
async fn caches_of_the_first_version() {
    node();
    let world = World::new();
    let runner = world.open().await;
    let mut job = Job::begin(&runner, "job", inside("refs/heads/main")).await;
    let program = r#"
        const base = new URL("/_apis/artifactcache/", process.env.ACTIONS_CACHE_URL)
        const call = (path, options) => fetch(new URL(path, base), { ...options,
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...options?.headers } })
        const none = await call("cache?keys=k-1,k-&version=v")
        check(none.status === 204, `none: ${none.status}`)
        const { cacheId } = await (await call("caches", { method: "POST", body: JSON.stringify({ key: "k-1", version: "v", cacheSize: 6 }) })).json()
        const chunk = (range, body) => call(`caches/${cacheId}`, { method: "PATCH", body, headers: { "content-range": `bytes ${range}/*`, "content-type": "application/octet-stream" } })
        check((await chunk("3-5", "def")).status === 204, "the end first")
        const early = await call(`caches/${cacheId}`, { method: "POST", body: JSON.stringify({ size: 6 }) })
        check(early.status === 400, `not whole: ${early.status}`)
        check((await chunk("0-2", "abc")).status === 204, "the beginning")
        const done = await call(`caches/${cacheId}`, { method: "POST", body: JSON.stringify({ size: 6 }) })
        check(done.status === 204, `kept: ${done.status}`)
        const found = await (await call("cache?keys=other,k-&version=v")).json()
        check(found.cacheKey === "k-1" && found.scope === "refs/heads/main", JSON.stringify(found))
        check(await (await fetch(found.archiveLocation)).text() === "abcdef", "what was sent")
    "#;
    succeed(&mut job, &world, "v1", program).await;
    runner.close().await;
}

const WHO: &str = r#"
    const url = process.env.ACTIONS_ID_TOKEN_REQUEST_URL
    if (!url) { console.log("nobody"); process.exit(0) }
    const asked = await fetch(`${url}&audience=sts.example`, { headers: { authorization: `Bearer ${process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}` } })
    const { value } = await asked.json()
    const [head, body, signature] = value.split(".")
    const claims = JSON.parse(Buffer.from(body, "base64url"))
    const { issuer, jwks_uri } = await (await fetch(`${claims.iss}/.well-known/openid-configuration`)).json()
    const { keys } = await (await fetch(jwks_uri)).json()
    const { kid } = JSON.parse(Buffer.from(head, "base64url"))
    const key = crypto.createPublicKey({ key: keys.find(key => key.kid === kid), format: "jwk" })
    const sound = crypto.verify("sha256", Buffer.from(`${head}.${body}`), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"))
    check(sound && issuer === claims.iss, "signed by the key that is served")
    console.log(claims.sub, claims.aud, claims.exp - claims.iat)
"#;

#[tokio::test]
async fn a_job_says_who_it_is_where_it_may() {
    node();
    let world = World::new();
    let runner = world.open().await;
    let scopes = [("id-token".to_owned(), Access::Write)].into();
    let permissions = Permissions { scopes, ..Permissions::default() };
    let may = JobSpec { permissions, ..job() };
    let mut job = Job::begin_as(&runner, "job", may.clone()).await;
    let log = succeed(&mut job, &world, "who", WHO).await;
    assert!(log.contains("repo:local/shop:ref:refs/heads/main sts.example 600"), "{log}");
    job.script("test -n \"$ACTIONS_ID_TOKEN_REQUEST_URL\" -a -z \"$ACTIONS_RUNTIME_TOKEN\"").await;
    let script = "curl -s -o /dev/null -w '%{http_code}' \"$ACTIONS_ID_TOKEN_REQUEST_URL\" -H 'Authorization: Bearer no'";
    assert!(job.script(script).await.contains("401"));
    let environment = Some("production".to_owned());
    let mut deploy = Job::begin_as(&runner, "deploy", JobSpec { environment, ..may.clone() }).await;
    let log = succeed(&mut deploy, &world, "who", WHO).await;
    assert!(log.contains("repo:local/shop:environment:production"), "{log}");
    let mut other = Job::begin(&runner, "other", inside("refs/heads/main")).await;
    let log = succeed(&mut other, &world, "who", WHO).await;
    assert!(log.contains("nobody"), "{log}");
    let stranger = JobSpec { from_outside: true, ..may };
    let mut stranger = Job::begin_as(&runner, "stranger", stranger).await;
    let log = succeed(&mut stranger, &world, "who", WHO).await;
    assert!(log.contains("nobody"), "{log}");
    runner.close().await;
}
