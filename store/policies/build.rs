//! The policies that ship are part of the executable; when one changes it is rebuilt.

fn main() {
    for folder in ["default", "pod-security"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
