use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use grit_blob::{ARTIFACT_TYPE, BlobError, Layout, LayoutError, MANIFEST_TYPE, TAR_TYPE};
use grit_types::Digest;
use serde_json::{Value, json};

use crate::support::{layout, names, push, reference, sample, write};

fn json_of(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_files_are_those_of_the_image_layout_spec() {
    let (root, layout) = layout();
    sample(&root.path().join("dist"));
    let annotations =
        BTreeMap::from([("org.opencontainers.image.revision".into(), "c0ffee".into())]);
    let shop = reference("shop/api:v1");
    let digest = layout.push_artifact(&shop, &root.path().join("dist"), &annotations).unwrap();

    let data = root.path().join("data");
    assert_eq!(json_of(&data.join("oci-layout")), json!({"imageLayoutVersion": "1.0.0"}));
    let blob = |digest: &str| data.join("blobs").join(digest.replace(':', "/"));
    let manifest_file = blob(&digest.to_string());
    let size = manifest_file.metadata().unwrap().len();
    assert_eq!(
        json_of(&data.join("index.json")),
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": MANIFEST_TYPE, "digest": digest, "size": size,
                "artifactType": ARTIFACT_TYPE,
                "annotations": {"org.opencontainers.image.ref.name": "shop/api:v1"},
            }],
        })
    );
    let manifest = json_of(&manifest_file);
    let layer = manifest["layers"][0].clone();
    assert_eq!(
        manifest,
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            },
            "layers": [{
                "mediaType": TAR_TYPE, "digest": layer["digest"], "size": layer["size"],
            }],
            "annotations": {"org.opencontainers.image.revision": "c0ffee"},
        })
    );
    let archive = fs::read(blob(layer["digest"].as_str().unwrap())).unwrap();
    assert_eq!(layer["digest"], json!(Digest::of(&archive)));
    assert_eq!(layer["size"], archive.len());
    assert_eq!(fs::read(blob(manifest["config"]["digest"].as_str().unwrap())).unwrap(), b"{}");
    assert_eq!(serde_json::to_value(layout.manifest(digest).unwrap()).unwrap(), manifest);
}

#[test]
fn an_artifact_is_unpacked_as_it_was_packed() {
    let (root, layout) = layout();
    let (dist, into) = (root.path().join("dist"), root.path().join("instances/1/root"));
    sample(&dist);
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    write(&dist.join(&long), "long", 0o644);
    write(&dist.join("name with\nline \u{fc}"), "odd", 0o4755);
    std::os::unix::fs::symlink(&long, dist.join("to-long")).unwrap();
    let digest = push(&layout, "api", &dist);
    layout.unpack(digest, &into).unwrap();

    let mut expected = names(&dist);
    expected.push(".grit-artifact".to_owned());
    expected.sort();
    assert_eq!(names(&into), expected);
    let mode =
        |name: &str| into.join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("api"), mode("share/catalogue.json"), mode("share")), (0o755, 0o644, 0o755));
    assert_eq!(mode("name with\nline \u{fc}"), 0o755);
    assert_eq!(fs::read_to_string(into.join("share/run")).unwrap(), "#!/bin/sh\nexit 0\n");
    assert_eq!(fs::read_to_string(into.join("to-long")).unwrap(), "long");
    assert_eq!(names(&root.path().join("instances")).len(), expected.len() + 2);
    // What was unpacked packs to the same.
    assert_eq!(push(&layout, "again", &into), digest);
}

#[test]
fn many_files_are_unpacked() {
    let (root, layout) = layout();
    for number in 0..300 {
        write(&root.path().join(format!("dist/{number}")), "x", 0o644);
    }
    let into = root.path().join("root");
    layout.unpack(push(&layout, "many", &root.path().join("dist")), &into).unwrap();
    assert_eq!(names(&into).len(), 301);
}

#[test]
fn unpacking_again_keeps_what_is_there() {
    let (root, layout) = layout();
    let (dist, into) = (root.path().join("dist"), root.path().join("root"));
    sample(&dist);
    let first = push(&layout, "api:1", &dist);
    fs::create_dir(&into).unwrap();
    layout.unpack(first, &into).unwrap();
    fs::write(into.join("written-by-the-service"), "kept").unwrap();
    layout.unpack(first, &into).unwrap();
    assert_eq!(fs::read_to_string(into.join("written-by-the-service")).unwrap(), "kept");

    write(&dist.join("new"), "", 0o644);
    let second = push(&layout, "api:2", &dist);
    let occupied = layout.unpack(second, &into).unwrap_err();
    assert!(matches!(occupied, LayoutError::Occupied { .. }), "{occupied:?}");
    let theirs = root.path().join("theirs");
    write(&theirs.join("precious"), "", 0o644);
    for into in [&theirs, &theirs.join("precious")] {
        let occupied = layout.unpack(second, into).unwrap_err();
        assert!(matches!(occupied, LayoutError::Occupied { .. }), "{occupied:?}");
    }
    assert_eq!(names(&theirs), ["precious"]);
}

#[test]
fn many_unpack_the_same_at_once() {
    let (root, layout) = layout();
    sample(&root.path().join("dist"));
    let digest = push(&layout, "api", &root.path().join("dist"));
    let into = root.path().join("instances/root");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| layout.unpack(digest, &into).unwrap());
        }
    });
    assert_eq!(names(&root.path().join("instances")).len(), names(&into).len() + 1);
}

#[test]
fn a_reference_leads_to_what_was_pushed_last() {
    let (root, layout) = layout();
    let dist = root.path().join("dist");
    sample(&dist);
    let first = push(&layout, "api", &dist);
    assert_eq!(layout.resolve(&reference("api:latest")).unwrap(), Some(first));
    assert_eq!(layout.resolve(&reference("api:v1")).unwrap(), None);
    write(&dist.join("api"), "other", 0o755);
    let second = push(&layout, "api", &dist);
    push(&layout, "api:v2", &dist);
    assert_ne!(first, second);
    // The older is still deployed somewhere.
    layout.unpack(first, &root.path().join("root")).unwrap();

    let reopened = Layout::open_or_create(&root.path().join("data")).unwrap();
    let expected = BTreeMap::from([(reference("api"), second), (reference("api:v2"), second)]);
    assert_eq!(reopened.references().unwrap(), expected);
}

#[test]
fn concurrent_pushes_lose_no_entry() {
    let (root, _) = layout();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (root, data) = (root.path(), root.path().join("data"));
            scope.spawn(move || {
                let layout = Layout::open_or_create(&data).unwrap();
                for number in 0..5 {
                    let dist = root.join(format!("dist-{thread}-{number}"));
                    write(&dist.join("file"), &format!("{thread} {number}"), 0o644);
                    push(&layout, &format!("s{thread}:v{number}"), &dist);
                }
            });
        }
    });
    let layout = Layout::open_or_create(&root.path().join("data")).unwrap();
    assert_eq!(layout.references().unwrap().len(), 40);
}

#[test]
fn a_damaged_blob_is_not_unpacked() {
    let (root, layout) = layout();
    sample(&root.path().join("dist"));
    let digest = push(&layout, "api", &root.path().join("dist"));
    let layer = layout.manifest(digest).unwrap().layers[0].digest;
    let into = root.path().join("root");
    for damaged in [layer, digest] {
        let path = root.path().join("data/blobs/sha256").join(damaged.hex());
        let sound = fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[sound.len() / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = layout.unpack(digest, &into).unwrap_err();
        let LayoutError::Blob(BlobError::Damaged { digest: named, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(named, damaged);
        fs::remove_file(&path).unwrap();
        let error = layout.unpack(digest, &into).unwrap_err();
        assert!(matches!(error, LayoutError::Blob(BlobError::Missing { .. })), "{error:?}");
        fs::write(&path, sound).unwrap();
    }
    assert!(!into.exists());
    layout.unpack(digest, &into).unwrap();
}

#[test]
fn a_layout_of_another_version_or_shape_is_refused() {
    let (root, layout) = layout();
    let data = root.path().join("data");
    fs::write(data.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let error = Layout::open_or_create(&data).unwrap_err();
    assert!(matches!(&error, LayoutError::Version { found, .. } if found == "2.0.0"), "{error:?}");
    fs::write(data.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(data.join("index.json"), "{").unwrap();
    for error in
        [Layout::open_or_create(&data).map(drop), layout.resolve(&reference("a")).map(drop)]
    {
        assert!(matches!(error, Err(LayoutError::Malformed { .. })), "{error:?}");
    }
}

#[test]
fn what_must_not_be_packed_is_refused_by_name() {
    let (root, layout) = layout();
    let dist = root.path().join("dist");
    let refused = |what: &str| {
        let error = layout.push_artifact(&reference("a"), &dist, &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    refused("read");
    fs::write(&dist, "").unwrap();
    refused("read");
    fs::remove_file(&dist).unwrap();
    fs::create_dir(&dist).unwrap();
    for target in ["/etc/passwd", "../data", "a/../../x"] {
        std::os::unix::fs::symlink(target, dist.join("link")).unwrap();
        refused("`link` links out");
        fs::remove_file(dist.join("link")).unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(dist.join("socket")).unwrap();
    refused("`socket` is no file");
    drop(socket);
    let around = layout.push_artifact(&reference("a"), root.path(), &BTreeMap::new());
    assert!(around.unwrap_err().to_string().contains("the image layout itself"));
    assert_eq!(layout.references().unwrap(), BTreeMap::new());
    assert_eq!(names(&root.path().join("data/.grit/tmp")), [""; 0]);
}
