//! The manifests of Kubernetes, held against its schemas, against each other and against the program.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cachecompress_test::client::fetch;
use cachecompress_test::tools::require;
use serde_json::{Value, json};

use crate::common::*;
use crate::{repository, stdout};

/// The documents, by kind. `None` if there is no Python with the packages.
fn manifests() -> Option<BTreeMap<String, Value>> {
    let python = require("linters")?;
    let read = "import glob, json, yaml; print(json.dumps([document \
         for path in glob.glob('deploy/kubernetes/*.yaml') for document in yaml.safe_load_all(open(path))]))";
    let text = stdout(Command::new(python).args(["-c", read]).current_dir(repository()));
    let documents: Vec<Value> = serde_json::from_str(&text).unwrap();
    let kind = |document: &Value| document["kind"].as_str().unwrap().to_owned();
    let by_kind: BTreeMap<_, _> =
        documents.iter().map(|document| (kind(document), document.clone())).collect();
    assert_eq!(by_kind.len(), documents.len(), "one document of a kind");
    Some(by_kind)
}

/// The values of a list, by their names.
fn named(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().unwrap().iter().map(|value| (value["name"].as_str().unwrap(), value)).collect()
}

/// The bytes of a quantity of Kubernetes, or of a length of ours.
fn bytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap().trim_end_matches('B');
    let (number, unit) = text.split_at(text.len() - 2);
    let unit = match unit {
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => panic!("{text}: a unit that this test does not know"),
    };
    number.parse::<u64>().unwrap() * unit
}

#[test]
fn manifests_agree_with_the_schemas_of_kubernetes() {
    let Some(linters) = require("linters") else { return };
    let mut validate = Command::new(linters.with_file_name("kubernetes-validate"));
    validate.arg("--strict").current_dir(repository());
    let folder = repository().join("deploy/kubernetes");
    let files = site::files_below(&folder);
    assert_eq!(files.len(), 4, "{files:?}");
    stdout(validate.args(files));
}

#[test]
fn manifests_name_each_other() {
    let Some(manifests) = manifests() else { return };
    let deployment = &manifests["Deployment"]["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(labels, &deployment["selector"]["matchLabels"]);
    assert_eq!(labels, &manifests["Service"]["spec"]["selector"]);
    assert_eq!(labels, &manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]);

    let ports = named(&container["ports"]);
    let service = &manifests["Service"]["spec"]["ports"];
    assert_eq!((service[0]["targetPort"].as_str(), service.get(1)), (Some("http"), None));
    assert!(ports.contains_key("http"));
    let volumes = named(&pod["volumes"]);
    let mounts = named(&container["volumeMounts"]);
    assert!(volumes.keys().eq(mounts.keys()), "{volumes:?} {mounts:?}");
    assert_eq!(mounts["cache"]["mountPath"], "/cache", "the cache of deploy/docker");

    let map = &manifests["ConfigMap"]["metadata"]["name"];
    assert_eq!(&container["envFrom"][0]["configMapRef"]["name"], map);
    let secret = &volumes["tier-keys"]["secret"];
    for (name, variable) in named(&container["env"]) {
        if let Some(of_secret) = variable.get("valueFrom") {
            assert_eq!(of_secret["secretKeyRef"]["name"], secret["secretName"], "{name}");
        }
    }
    let created = fs::read_to_string(repository().join("deploy/kubernetes/tier.yaml")).unwrap();
    let create =
        format!("secret generic {} --from-file=keys", secret["secretName"].as_str().unwrap());
    assert!(created.contains(&create), "{create}");
}

#[test]
fn pod_has_no_privilege_and_room_for_its_cache() {
    let Some(manifests) = manifests() else { return };
    let pod = &manifests["Deployment"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let user = &pod["securityContext"];
    assert_eq!((&user["runAsNonRoot"], &user["runAsUser"]), (&json!(true), &json!(65532)));
    assert_eq!(user["seccompProfile"], json!({ "type": "RuntimeDefault" }));
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        })
    );
    assert_eq!(pod["automountServiceAccountToken"], false);

    let cache = bytes(&named(&container["env"])["CACHECOMPRESS_CACHE_SIZE"]["value"]);
    let volume = &named(&pod["volumes"])["cache"]["emptyDir"]["sizeLimit"];
    assert!(bytes(volume) * 4 >= cache * 5, "a pod whose volume is full is evicted");
    assert_eq!(volume, &container["resources"]["requests"]["ephemeral-storage"]);
    // The program takes 10 s for requests and 5 s for the store, after the pause before the signal.
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > pause + 10 + 5);
}

/// The volumes' directories are those that `fsGroup` makes, and the store is away.
#[test]
fn program_takes_the_settings_and_answers_the_probes() {
    let Some(manifests) = manifests() else { return };
    let container = &manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0];
    let site = Site::with("index.html", &site::text(1, 4000));
    let keys = tempfile::NamedTempFile::new().unwrap();
    fs::write(keys.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let cache = tempfile::tempdir().unwrap();
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o2777)).unwrap();
    let arguments: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let ["serve", "/site", rest @ ..] = &arguments[..] else { panic!("{arguments:?}") };
    let mut launch = Launch::new(PROGRAM, site.path()).cache(cache.path());
    for word in rest {
        launch = launch.arg(*word);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    launch = launch.env("AWS_ENDPOINT_URL", format!("http://{closed}"));
    for (name, variable) in named(&container["env"]) {
        let value = match name {
            // The test's own addresses and files.
            "CACHECOMPRESS_ADMIN" => continue,
            "CACHECOMPRESS_TIER_KEY_FILE" => keys.path().to_str().unwrap(),
            _ => variable["value"].as_str().unwrap_or("secret"),
        };
        launch = launch.env(name, value);
    }
    for (name, value) in manifests["ConfigMap"]["data"].as_object().unwrap() {
        launch = launch.env(name, value.as_str().unwrap());
    }
    let server = launch.start();
    for probe in ["readinessProbe", "livenessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], "admin");
        let path = asked["path"].as_str().unwrap();
        // The kubelet names the pod's address.
        let request = Request::get(path).header("host", "10.1.2.3:9780");
        assert_eq!(fetch(server.admin(), &request).unwrap().status(), 200, "{path}");
    }
    let admin = named(&container["env"])["CACHECOMPRESS_ADMIN"]["value"].as_str().unwrap();
    let port = named(&container["ports"])["admin"]["containerPort"].as_u64().unwrap();
    assert_eq!(admin, format!(":{port}"));
    assert_is(&server.get("/", "identity"), &site::text(1, 4000), "identity");
    let stderr = eventually("a word on the store", || {
        Some(server.stderr()).filter(|stderr| stderr.contains("the shared store"))
    });
    let warnings = stderr.lines().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "{stderr}");
    assert!(stderr.contains("s3://site-cache/site"), "{stderr}");
}
