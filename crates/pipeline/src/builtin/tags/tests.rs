use super::*;

fn about(reference: &str, event: &str) -> About {
    About {
        reference: reference.to_owned(),
        event: event.to_owned(),
        sha: "860c1904a1ce19322e91ac35af1ab07466440c37".to_owned(),
        repository: "acme/shop".to_owned(),
        server: "https://github.com".to_owned(),
        description: String::new(),
        default_branch: "main".to_owned(),
        short: SHORT_SHA_LEN,
        base: String::new(),
        now: Timestamp::from_millis(1_700_000_000_000),
        committed: Some(Timestamp::from_millis(1_600_000_000_000)),
    }
}

fn tags(reference: &str, event: &str, tags: &str, flavor: &str) -> Vec<String> {
    let pairs = [("images", "Acme/Shop"), ("tags", tags), ("flavor", flavor)];
    let inputs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let made = metadata(&inputs, &about(reference, event)).unwrap();
    made.tags.iter().map(|tag| tag.strip_prefix("acme/shop:").unwrap().to_owned()).collect()
}

/// The table of the action's documentation.
#[test]
fn tags_are_those_of_the_documentation() {
    assert_eq!(tags("refs/heads/releases/v1", "push", "", ""), ["releases-v1"]);
    assert_eq!(tags("refs/heads/main", "push", "", ""), ["main"]);
    assert_eq!(tags("refs/tags/v1.2.3", "push", "", ""), ["v1.2.3", "latest"]);
    assert_eq!(tags("refs/pull/2/merge", "pull_request", "", ""), ["pr-2"]);
    assert_eq!(tags("refs/heads/main", "schedule", "", ""), ["nightly", "main"]);
    let semver =
        "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}\ntype=sha";
    assert_eq!(
        tags("refs/tags/v1.2.3", "push", semver, ""),
        ["1.2.3", "1.2", "sha-860c190", "latest"]
    );
    assert_eq!(
        tags("refs/tags/v2.0.8-beta.67", "push", semver, ""),
        ["2.0.8-beta.67", "sha-860c190"]
    );
    assert_eq!(tags("refs/heads/main", "push", semver, ""), ["sha-860c190"]);
    assert_eq!(
        tags("refs/heads/main", "push", "type=edge\ntype=raw,value=x-{{sha}}", ""),
        ["edge", "x-860c190"]
    );
    assert_eq!(tags("refs/heads/dev", "push", "type=edge,branch=dev", ""), ["edge"]);
    assert_eq!(tags("refs/heads/main", "push", "type=sha,format=long,prefix=", "")[0].len(), 40);
    assert_eq!(
        tags("refs/heads/main", "push", "type=raw,value=a,enable={{is_default_branch}}", ""),
        ["a"]
    );
    assert_eq!(
        tags("refs/heads/dev", "push", "type=raw,value=a,enable={{is_default_branch}}\nb", ""),
        ["b"]
    );
    assert_eq!(
        tags("refs/tags/v1.2.3", "push", "type=ref,event=tag", "latest=false\nsuffix=-alpine"),
        ["v1.2.3-alpine"]
    );
    assert_eq!(
        tags("refs/heads/main", "push", "x", "latest=true\nprefix=p-,onlatest=true"),
        ["p-x", "p-latest"]
    );
    assert_eq!(
        tags("refs/heads/main", "push", "type=raw,value={{date 'YYYYMMDD'}}", ""),
        ["20231114"]
    );
}

#[test]
fn what_is_not_known_is_refused() {
    let refused = |tags: &str| {
        let inputs = [("tags".to_owned(), tags.to_owned())].into();
        metadata(&inputs, &about("refs/tags/v1.2.3", "push")).unwrap_err()
    };
    assert!(refused("type=nonsense").contains("type is not known"));
    assert!(refused("type=semver").contains("pattern"));
    assert!(refused("type=match").contains("pattern"));
    assert!(refused("type=raw").contains("value"));
    assert!(refused("type=match,pattern=(").contains("no regular expression"));
    assert!(refused("type=match,pattern=v,group=x").contains("no number"));
    assert!(refused("type=sha,format=huge").contains("short or long"));
    assert!(refused("a,enable=maybe").contains("true or false"));
    assert!(refused("type=raw,value={{date 'YYYY' tz='Asia/Tokyo'}}").contains("Asia/Tokyo"));
    assert!(refused("type=raw,value={{nonsense}}").contains("nonsense"));
    assert!(refused("type=raw,value={{sha").contains("not closed"));
    assert!(refused("type=ref,event=moon").contains("branch, tag or pr"));
}

/// Tables of the action's documentation: of a tag, a rule makes this.
#[test]
fn tags_become_what_rules_make_of_them() {
    for (tag, rule, made) in [
        ("v1.2.3", "type=match,pattern=\\d.\\d.\\d", "1.2.3"),
        ("v2.0.8-beta.67", "type=match,pattern=v(.*),group=1", "2.0.8-beta.67"),
        ("v2.0.8-beta.67", "type=match,pattern=v(\\d.\\d),group=1", "2.0"),
        ("20200110-RC2", "type=match,pattern=\\d+", "20200110"),
        ("p1/v1.2.3", "type=match,pattern=p1/v(\\d.\\d.\\d),group=1", "1.2.3"),
        ("p1/v1.2.3", "type=match,pattern=p1-v(\\d.\\d.\\d),group=1", "1.2.3"),
        ("V9", "type=match,pattern=/v(\\d)/i,group=1", "9"),
        ("v1.2.3", "\"type=match\",\"pattern=v(\\d{1,3}).*\",group=1", "1"),
        ("x", "type=match,pattern=v(.*),group=1,value=v1.0.0", "1.0.0"),
        ("v1.2.3", "type=semver,pattern={{raw}}", "v1.2.3"),
        ("v1.2.3", "type=semver,pattern=v{{major}}", "v1"),
        ("v1.2.3", "type=semver,pattern={{minor}}", "2"),
        ("v1.2.3", "type=semver,pattern={{patch}}", "3"),
        ("v2.0.8-beta.67", "type=semver,pattern={{raw}}", "v2.0.8-beta.67"),
        ("v2.0.8-beta.67", "type=semver,pattern={{major}}.{{minor}}", "2.0.8-beta.67"),
        ("v2.0.8-beta.67", "type=semver,pattern=v{{version}}", "2.0.8-beta.67"),
        ("p1/v1.2.3", "type=semver,pattern={{major}},match=v(.*)$", "1"),
        ("x", "type=semver,pattern={{version}},value=v1.0.0", "1.0.0"),
        ("1.2.3", "type=pep440,pattern={{raw}}", "1.2.3"),
        ("v1.2.3", "type=pep440,pattern={{version}}", "1.2.3"),
        ("1.2.3", "type=pep440,pattern={{major}}.{{minor}}", "1.2"),
        ("1.2.3", "type=pep440,pattern=v{{major}}", "v1"),
        ("v1.2.3rc2", "type=pep440,pattern={{raw}}", "v1.2.3rc2"),
        ("1.2.3rc2", "type=pep440,pattern={{version}}", "1.2.3rc2"),
        ("1.2.3rc2", "type=pep440,pattern={{major}}.{{minor}}", "1.2.3rc2"),
        ("1.2.3post1", "type=pep440,pattern={{major}}.{{minor}}", "1.2.3.post1"),
        ("1.2.3beta2", "type=pep440,pattern={{major}}.{{minor}}", "1.2.3b2"),
        ("1.0dev4", "type=pep440,pattern={{major}}.{{minor}}", "1.0.dev4"),
        ("1.2", "type=pep440,pattern={{major}}.{{minor}}.{{patch}}", "1.2.0"),
        ("v1", "type=raw,foo", "foo"),
        ("v1", "type=raw,value={{tag}}-{{sha}}", "v1-860c190"),
        ("v1", "type=raw,value={{date 'YYYYMMDD-HHmmss' tz='UTC'}}", "20231114-221320"),
        ("v1", "type=raw,value={{commit_date 'YYYY.MM'}}", "2020.09"),
        ("v1", "type=sha,prefix={{tag}}-", "v1-860c190"),
        ("v1", "type=raw,value=a b//c-/d", "a-b-c--d"),
    ] {
        let made_of = tags(&format!("refs/tags/{tag}"), "push", rule, "latest=false");
        assert_eq!(made_of, [made], "{tag}: {rule}");
    }
}

#[test]
fn what_does_not_concern_the_event_gives_nothing() {
    for (reference, event, rule) in [
        ("refs/tags/v1.2.3", "push", "type=match,pattern=x(.*),group=1"),
        ("refs/tags/v1.2.3", "push", "type=match,pattern=v,group=7"),
        ("refs/heads/main", "push", "type=match,pattern=.*"),
        ("refs/tags/v1.2", "push", "type=semver,pattern={{version}}"),
        ("refs/tags/v1.2.3", "push", "type=semver,pattern={{version}},match=x(.*)"),
        ("refs/tags/nonsense", "push", "type=pep440,pattern={{version}}"),
        ("refs/heads/main", "push", "type=schedule"),
        ("refs/heads/main", "push", "type=ref,event=tag"),
        ("refs/heads/dev", "push", "type=edge"),
        ("refs/heads/dev", "push", "type=raw,value=a,enable={{is_default_branch}}"),
        ("refs/heads/main", "push", "type=raw,value=a,enable={{is_not_default_branch}}"),
    ] {
        assert_eq!(tags(reference, event, rule, ""), [""; 0], "{reference}: {rule}");
    }
}

#[test]
fn the_first_rule_by_priority_is_the_version_and_says_what_is_latest() {
    let rules = "type=sha\ntype=match,pattern=v(.*),group=1\ntype=raw,value=x,priority=1000";
    assert_eq!(tags("refs/tags/v1.2.3", "push", rules, ""), ["x", "1.2.3", "sha-860c190"]);
    let rules = "type=match,pattern=v(.*),group=1\ntype=schedule,pattern={{date 'YYYYMMDD'}}";
    assert_eq!(tags("refs/tags/v1.2.3", "push", rules, ""), ["1.2.3", "latest"]);
    assert_eq!(
        tags("refs/heads/main", "schedule", rules, "suffix=-a,onlatest=true\nlatest=true"),
        ["20231114-a", "latest-a"]
    );
    let pep = "type=pep440,pattern={{version}}";
    assert_eq!(tags("refs/tags/1.2.3", "push", pep, ""), ["1.2.3", "latest"]);
    assert_eq!(tags("refs/tags/1.2.3rc1", "push", pep, ""), ["1.2.3rc1"]);
}
