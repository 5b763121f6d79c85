//! The files for Kubernetes: their settings are settings, and what they say to each other fits.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Need, finish, folder, have, jauge, program, root};

fn file(name: &str) -> String {
    fs::read_to_string(root().join("config/kubernetes").join(name)).unwrap()
}

/// The block of lines below `key: |`, without their indent.
fn block(yaml: &str, key: &str) -> String {
    let (_, below) = yaml.split_once(&format!("{key}: |\n")).unwrap();
    below.lines().map_while(|line| if line.is_empty() { Some("") } else { line.strip_prefix("    ") }).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    )
}

/// What `jauge config` makes of settings and variables.
fn config(settings: &str, variables: &[(String, String)]) -> Value {
    let folder = folder();
    let path = folder.path().join("jauge.toml");
    fs::write(&path, settings).unwrap();
    let mut command = jauge();
    command.args(["config", "--json", "--config"]).arg(&path).envs(variables.iter().cloned());
    serde_json::from_str(&finish(command, &[]).exits(0).stdout).unwrap()
}

/// The documents of a file, as a reader of YAML sees them.
fn documents(name: &str) -> Need<Vec<Value>> {
    let mut command = Command::new(program("python3")?);
    command.args(["-c", "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"]);
    let ran = finish(command, file(name).as_bytes());
    if ran.stderr.contains("No module named") {
        return Err("python3 with yaml".to_owned());
    }
    Ok(serde_json::from_str(&ran.exits(0).stdout).unwrap())
}

#[test]
fn its_settings_are_settings() {
    let secret = file("secret.yaml");
    let variables: Vec<(String, String)> = secret
        .lines()
        .filter(|line| line.trim_start().starts_with("JAUGE_"))
        .map(|line| line.trim().split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    assert!(variables.len() >= 4, "{variables:?}");
    let settings = block(&file("settings.yaml"), "jauge.toml");
    let read = config(&settings, &variables).to_string();
    for said in ["/var/lib/jauge/audience", "/var/lib/jauge-keys/keys", "0.0.0.0:9464", "SCRAM-SHA-512"] {
        assert!(read.contains(said), "{said}: {read}");
    }
    // What the page adds for a Secret of keys.
    let page = fs::read_to_string(root().join("docs/kubernetes.md")).unwrap();
    let of_secret = "    pseudonyms = \"directory\"\n    private_to = \"group\"\n";
    assert!(page.contains(of_secret));
    config(&format!("{settings}{}", of_secret.replace("    ", "")), &[]);
}

#[test]
fn its_files_fit_each_other() {
    let names = ["settings.yaml", "secret.yaml", "statefulset.yaml", "pod-monitor.yaml"];
    let mut all = Vec::new();
    for name in names {
        let Some(found) = have(documents(name)) else { return };
        all.extend(found);
    }
    let of = |kind: &str| all.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let set = of("StatefulSet");
    let (pod, labels) = (&set["spec"]["template"]["spec"], &set["spec"]["template"]["metadata"]["labels"]);
    let container = &pod["containers"][0];
    for selector in [
        &set["spec"]["selector"]["matchLabels"],
        &of("Service")["spec"]["selector"],
        &of("PodMonitor")["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], of("ConfigMap")["metadata"]["name"]);
    assert_eq!(container["envFrom"][0]["secretRef"]["name"], of("Secret")["metadata"]["name"]);
    let settings: toml::Table = of("ConfigMap")["data"]["jauge.toml"].as_str().unwrap().parse().unwrap();
    let port = container["ports"][0]["containerPort"].to_string();
    assert!(settings["listen"].as_str().unwrap().ends_with(&format!(":{port}")));
    assert_eq!(of("Service")["spec"]["ports"][0]["port"].to_string(), port);
    assert_eq!(of("PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"], container["ports"][0]["name"]);
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"]);
    }
    // Data and keys lie on claimed volumes, and not at the top of one.
    for setting in ["out", "keys"] {
        let place = Path::new(settings[setting].as_str().unwrap()).parent().unwrap().to_str().unwrap();
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == place).unwrap_or_else(|| panic!("{place}"));
        let claims = set["spec"]["volumeClaimTemplates"].as_array().unwrap();
        assert!(claims.iter().any(|claim| claim["metadata"]["name"] == mount["name"]), "{place}");
    }
    let command = container["args"].as_array().unwrap();
    assert_eq!(command.last().unwrap(), "/etc/jauge/jauge.toml");
}
