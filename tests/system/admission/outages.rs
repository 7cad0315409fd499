//! Admission as a victim, and parts that are away (catalogue of bypasses, 25–30 and 38–40).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use lictor_tests::{connect_trusting, free_address};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{FINE, World, pod, workload};
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("25 an object of some megabytes", "", large),
    case("30 who shows no certificate of the API server's is not answered", "answers anybody", strangers),
    case("40 a dry run has the same answer and leaves nothing", "", dry_run),
    case(
        "39 an edited or deleted configuration is restored within 5 s",
        "stays as the attacker left it",
        restored,
    ),
    case("without the bus: the last good policies, also after a restart", "", without_the_bus),
    case("38 starts while it is itself down, with failure policy Fail", "", starts_itself),
];

fn large(world: &World) -> Result<(), String> {
    world.namespace("large")?;
    let env = |i: usize| format!(r#"{{"name":"V{i}","value":"{}"}}"#, "x".repeat(900));
    let env: Vec<String> = (0..1000).map(env).collect();
    let container = format!(
        r#"{{"name":"c","image":"shop/web:1","securityContext":{{"privileged":true}},"env":[{}]}}"#,
        env.join(",")
    );
    let object = pod("large", &format!(r#""containers":[{container}]"#));
    world.ask_with("-n large create -f -", &object).denied(&["No privileged containers"])
}

fn strangers(world: &World) -> Result<(), String> {
    let bundle = "get validatingwebhookconfiguration lictor -o jsonpath={.webhooks[0].clientConfig.caBundle}";
    let bundle = BASE64_STANDARD.decode(world.ask(bundle).output()?).map_err(|error| error.to_string())?;
    let asked = tokio::runtime::Handle::current().block_on(ask_without_certificate(world.address, &bundle));
    match asked {
        Ok(answer) => Err(format!("was answered: {answer}")),
        Err(problem) if problem.to_string().contains("CertificateRequired") => Ok(()),
        Err(problem) => Err(format!("failed otherwise: {problem}")),
    }
}

async fn ask_without_certificate(address: SocketAddr, bundle: &[u8]) -> std::io::Result<String> {
    let authorities = CertificateDer::pem_slice_iter(bundle).map(|certificate| certificate.unwrap().to_vec());
    let mut stream = connect_trusting(address, authorities).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn dry_run(world: &World) -> Result<(), String> {
    world.namespace("dry")?;
    let object = pod("dry", r#""hostPID":true,"containers":[{"name":"c","image":"shop/web:1"}]"#);
    world.ask_with("-n dry create --dry-run=server -f -", &object).denied(&["No host PID namespace"])?;
    // One that is recorded, so that there is something to wait for.
    let real = pod("real", r#""hostPID":true,"containers":[{"name":"c","image":"shop/web:1"}]"#);
    world.ask_with("-n dry create -f -", &real).denied(&["No host PID namespace"])?;
    let named = |name: &'static str| move |alert: &serde_json::Value| alert["entity"]["name"] == name;
    world.alert("No host PID namespace", named("real"))?;
    let alerts = world.store("/v1/alerts?limit=500");
    let dry =
        alerts["alerts"].as_array().into_iter().flatten().find(|alert| alert["entity"]["name"] == "dry");
    dry.map_or(Ok(()), |alert| Err(format!("a dry run was recorded: {alert}")))
}

fn restored(world: &World) -> Result<(), String> {
    let get = || world.ask("get validatingwebhookconfiguration lictor -o jsonpath={.webhooks}").output();
    let before = get()?;
    let within = |what: &str| {
        let began = Instant::now();
        let same = || if get()? == before { Ok(()) } else { Err("it is another".to_owned()) };
        world.eventually(what, same)?;
        // The API server's own copy follows a moment later.
        world.eventually(what, || world.privileged("default", "a").denied(&[]))?;
        let took = began.elapsed();
        println!("          {what}: restored after {took:.1?}");
        if took < Duration::from_secs(5) { Ok(()) } else { Err(format!("{what}: only after {took:?}")) }
    };
    world.ask("delete validatingwebhookconfiguration lictor").allowed()?;
    within("deleted")?;
    let edits = [
        ("rules", r#"[{"op":"replace","path":"/webhooks/0/rules","value":[]}]"#),
        (
            "selector",
            r#"[{"op":"replace","path":"/webhooks/0/namespaceSelector","value":{"matchLabels":{"a":"b"}}}]"#,
        ),
        (
            "address",
            r#"[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://127.0.0.1:1/"}]"#,
        ),
        (
            "conditions",
            r#"[{"op":"add","path":"/webhooks/0/matchConditions","value":[{"name":"a","expression":"false"}]}]"#,
        ),
    ];
    for (what, edit) in edits {
        world.ask(&format!("patch validatingwebhookconfiguration lictor --type=json -p {edit}")).allowed()?;
        within(what)?;
    }
    Ok(())
}

fn without_the_bus(world: &World) -> Result<(), String> {
    world.stop_admission()?;
    let nowhere = format!("nats://{}", free_address());
    *world.admission.borrow_mut() = Some(world.another_admission(&nowhere, world.address, &[]));
    world.eventually("denied by the copy", || {
        world.privileged("default", "a").denied(&["No privileged containers"])
    })?;
    world.stop_admission()?;
    world.start_admission();
    Ok(())
}

fn starts_itself(world: &World) -> Result<(), String> {
    world.namespace("down")?;
    world.stop_admission()?;
    let create = "-n down create --dry-run=server -f -";
    let object = pod("a", &format!(r#""containers":[{FINE}]"#));
    // It fails closed, as this installation chose …
    let closed = || world.ask_with(create, &object).refused(&["failed calling webhook"]);
    world.eventually("closed", closed)?;
    // … and its own pods and those of the control plane can still be made.
    world
        .ask_with("-n lictor create -f -", &workload("Deployment", "lictor-admission", 1, FINE))
        .allowed()?;
    world.ask("-n lictor rollout status deployment/lictor-admission --timeout=30s").allowed()?;
    world.start_admission();
    world.ask_with(create, &object).allowed()
}
