//! Files as people write them, and what is found in them.

#![cfg(test)]

use lictor_policies::{Level, Read, read, to_custom_resource};

fn codes(read: &Read) -> Vec<(&'static str, Option<(u64, u64)>)> {
    read.findings.iter().map(|f| (f.code, f.position.map(|p| (p.line, p.column)))).collect()
}

const SHELLS: &str = r#"
apiVersion: config.stackrox.io/v1alpha1
kind: SecurityPolicy
metadata: {name: shells}
spec:
  policyName: Shells in payments
  severity: HIGH_SEVERITY
  categories: [Kubernetes]
  lifecycleStages: [RUNTIME]
  eventSource: DEPLOYMENT_EVENT
  scope: [{namespace: pay.*}]
  policySections:
  - policyGroups:
    - {fieldName: Process Name, values: [{value: (ba)?sh}]}
"#;

#[test]
fn a_custom_resource_is_a_policy_and_comes_back() {
    let file = read("shells.yaml", SHELLS);
    assert_eq!(file.findings, []);
    let policy = &file.policies[0].policy;
    assert_eq!(policy.name, "Shells in payments");
    let written = to_custom_resource(policy).unwrap();
    let again = read("again.yaml", &written);
    assert_eq!(again.findings, []);
    assert_eq!(&again.policies[0].policy, policy);
    assert_eq!(to_custom_resource(&again.policies[0].policy).unwrap(), written, "the same bytes");
    assert!(written.contains("name: shells-in-payments"), "{written}");
}

#[test]
fn json_yaml_and_exports_hold_the_same_policies() {
    let policy = &read("shells.yaml", SHELLS).policies[0].policy;
    let json = policy.to_export().unwrap();
    let one = json.to_string();
    let export = serde_json::json!({ "policies": [json] }).to_string();
    let list = format!("[{one}]");
    let yaml = serde_saphyr::to_string(&json).unwrap();
    for text in [one, export, list, yaml] {
        let file = read("p", &text);
        assert_eq!(file.findings, [], "{text}");
        assert_eq!(&file.policies[0].policy, policy, "{text}");
    }
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let text = r#"{"policies": [
  {"name": "no", "severity": "HIGHEST", "categories": ["A", "A"], "lifecycleStages": ["DEPLOY"],
   "policySectoins": [],
   "policySections": [{"policyGroups": [
      {"fieldName": "Image Tags", "values": [{"value": "latest"}]},
      {"fieldName": "CVSS", "negate": true, "values": [{"value": "= 7"}]}]}]}
]}"#;
    let file = read("p.json", text);
    assert!(file.policies.is_empty());
    assert_eq!(
        codes(&file),
        [
            ("unknown-value", Some((2, 30))),
            ("unknown-field", Some((3, 22))),
            ("name", Some((2, 12))),
            ("severity", Some((2, 30))),
            ("categories", Some((2, 61))),
            ("unknown-criterion", Some((5, 21))),
            ("negation", Some((6, 39))),
            ("value", Some((6, 56))),
        ]
    );
    let hints: Vec<&str> = file.findings.iter().map(|finding| finding.hint.as_str()).collect();
    assert_eq!(hints[1], "did you mean `policySections`?");
    assert_eq!(hints[5], "did you mean `Image Tag`?");
    assert!(file.findings[..2].iter().all(|finding| finding.level == Level::Warning));
    assert!(file.findings[2..].iter().all(|finding| finding.level == Level::Error));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_own_code() {
    let cases = [
        ("{", "syntax"),
        ("a: [", "syntax"),
        (r#"{"name": "a", "severity": "LOW_SEVERITY", "name": "b"}"#, "duplicate-key"),
        ("name: a\nname: b\n", "duplicate-key"),
        (r#"{"fields": {}, "name": "Version one"}"#, "old-form"),
        (r#"{"policies": [{"whitelists": []}]}"#, "old-form"),
        (r#"{"disabled": "yes"}"#, "type"),
        (r#"{"lastUpdated": "today"}"#, "time"),
        ("apiVersion: v1\nkind: Pod\n", "type"),
        ("", "empty"),
        ("# nothing\n", "empty"),
    ];
    for (text, code) in cases {
        let file = read("p", text);
        assert_eq!(file.findings.iter().map(|f| f.code).collect::<Vec<_>>(), [code], "{text}");
        assert!(file.policies.is_empty());
    }
}

#[test]
fn of_several_resources_each_stands_alone() {
    let broken = SHELLS.replace("Process Name", "Process Nam").replace("Shells in", "Others in");
    let file = read("two.yaml", &format!("{SHELLS}---{broken}"));
    assert_eq!((file.policies.len(), file.seen), (1, 2));
    assert_eq!(codes(&file), [("unknown-criterion", Some((28, 19)))]);
}

#[test]
fn of_two_policies_with_one_id_the_second_is_refused() {
    let policy = |name: &str| {
        let shells = SHELLS.replace("Shells in payments", name);
        let mut json = read("p", &shells).policies[0].policy.to_export().unwrap();
        json["id"] = "6a2b0a1e-0000-4000-8000-000000000001".into();
        json
    };
    let text = serde_json::json!([policy("Shells in payments"), policy("Shells elsewhere")]).to_string();
    let file = read("p", &text);
    assert_eq!((file.policies.len(), file.seen), (1, 2));
    assert_eq!(codes(&file).iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["duplicate-id"]);
    assert_eq!(
        (file.findings[0].level, file.findings[0].policy.as_str()),
        (Level::Error, "Shells elsewhere")
    );
}
