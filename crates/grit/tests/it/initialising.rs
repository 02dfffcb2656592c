//! `grit init`: a grit.yaml for what is there, or an example to begin with.

use crate::env::Env;

#[test]
fn services_are_found_and_a_usable_file_is_written() {
    let env = Env::new();
    let manifest = "[package]\nname = \"api\"\n";
    let files = [("services/api/Cargo.toml", manifest), ("services/api/src/main.rs", "")];
    let repository = env.repository("repo", &files);
    let made = env.data(&repository, &["init", "--json"]);
    assert_eq!(made["services"][0]["name"], "api", "{made}");
    let text = std::fs::read_to_string(repository.join("grit.yaml")).unwrap();
    assert!(text.contains("source: [services/api]"), "{text}");
    assert_eq!(env.git(&repository, &["status", "--porcelain"]), "?? grit.yaml\n");
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let env = Env::new();
    let repository = env.repository("repo", &[("grit.yaml", "mine\n")]);
    let out = env.grit(&repository, &["init"]).expect_code(4);
    assert!(out.stderr.contains("is there already, and stays as it is"), "{out:?}");
    assert_eq!(std::fs::read_to_string(repository.join("grit.yaml")).unwrap(), "mine\n");
}

#[test]
fn the_example_is_a_repository_with_a_tagged_commit() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["init", "--example", "shop"]).expect_code(0);
    assert_eq!(out.stdout, "shop\n");
    let shop = env.path("shop");
    let head = env.git(&shop, &["rev-parse", "HEAD"]);
    assert_eq!(env.git(&shop, &["rev-parse", "main", "v1.0.0^{commit}"]), format!("{head}{head}"));
    assert_eq!(env.git(&shop, &["status", "--porcelain"]), "");
    let plans = env.data(&shop, &["run", "--plan", "--json"]);
    assert_eq!(plans.as_array().unwrap().len(), 1);
    let again = env.grit(&env.path(""), &["init", "--example", "shop"]).expect_code(4);
    assert!(again.stderr.contains("is not empty, and stays as it is"), "{again:?}");
    assert_eq!(env.git(&shop, &["rev-parse", "HEAD"]), head);
}

#[test]
fn an_unknown_example_is_not_found() {
    let env = Env::new();
    let out = env.grit(&env.path(""), &["init", "--example", "shoe"]);
    insta::assert_snapshot!(out.refusal(), @r"
    exit 3
    Error: there is no example `shoe`
    Hint: `grit init --example shop`
    ");
    assert!(!env.path("shop").exists() && !env.path("shoe").exists());
}
