//! How images may be written (catalogue of bypasses, matching 19–21).

use super::world::{World, pod};
use super::{Case, case};

pub(super) const CASES: &[Case] = &[
    case("19 a registry that begins like the trusted one", "", prefixes),
    case("20 the ways to write the same image", "", forms),
    case("facts that nobody has are said, and do not pass as fine", "passes without a word", unknown),
];

fn asks(world: &World, namespace: &str, image: &str) -> super::world::Said {
    let object = pod("a", &format!(r#""containers":[{{"name":"c","image":"{image}"}}]"#));
    world.ask_with(&format!("-n {namespace} create --dry-run=server -f -"), &object)
}

fn prefixes(world: &World) -> Result<(), String> {
    world.namespace("images")?;
    asks(world, "images", "registry.shop.example/web:1").allowed()?;
    for image in [
        "registry.shop.example.evil.io/web:1",
        "registry.shop.example:5000/web:1",
        "registry.shop.example.:443/web:1",
        "evil.io/registry.shop.example/web:1",
        "web:1",
    ] {
        asks(world, "images", image)
            .denied(&["Only the shop's registry"])
            .map_err(|problem| format!("{image}: {problem}"))?;
    }
    Ok(())
}

fn forms(world: &World) -> Result<(), String> {
    world.namespace("images")?;
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for image in [
        "busybox".to_owned(),
        "busybox:1.36".to_owned(),
        "library/busybox".to_owned(),
        "docker.io/busybox".to_owned(),
        "docker.io/library/busybox:latest".to_owned(),
        format!("busybox@{digest}"),
        format!("busybox:1.36@{digest}"),
    ] {
        asks(world, "images", &image)
            .denied(&["Not from the library"])
            .map_err(|problem| format!("{image}: {problem}"))?;
    }
    Ok(())
}

fn unknown(world: &World) -> Result<(), String> {
    world.namespace("facts")?;
    asks(world, "facts", "shop/web:1")
        .warned(&["policies not decided because facts are missing: Nothing fixable in guarded namespaces"])
}
