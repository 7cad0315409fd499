//! Admission on a real API server, asked with kubectl.
//!
//! One control plane serves all cases. A case makes what it needs in a namespace of its own, asks, and looks at the
//! answer; all cases run even if some fail, and what failed is told at the end.

mod answers;
mod audit;
mod exemptions;
mod images;
mod outages;
mod subobjects;
mod world;

use world::World;

/// Something that is asked of the API server and must be answered so.
struct Case {
    /// What is shown.
    name: &'static str,
    /// What the reference system lets through here; empty where it does the same.
    elsewhere: &'static str,
    /// Asks, and says what was wrong with the answer.
    run: fn(&World) -> Result<(), String>,
}

const fn case(name: &'static str, elsewhere: &'static str, run: fn(&World) -> Result<(), String>) -> Case {
    Case { name, elsewhere, run }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_asks_and_is_answered() {
    let _alone = super::MACHINE.lock().await;
    let world = World::start().await;
    let groups: [(&str, &[Case]); 6] = [
        ("answers", answers::CASES),
        ("sub-objects and sub-resources", subobjects::CASES),
        ("exemptions", exemptions::CASES),
        ("image references", images::CASES),
        ("the audit webhook", audit::CASES),
        // Last: these stop and start admission.
        ("outages and enforcement", outages::CASES),
    ];
    let mut failures = Vec::new();
    for (group, cases) in groups {
        println!("{group}");
        for case in cases {
            let outcome = tokio::task::block_in_place(|| (case.run)(&world));
            let elsewhere = if case.elsewhere.is_empty() {
                String::new()
            } else {
                format!(" (StackRox: {})", case.elsewhere)
            };
            match outcome {
                Ok(()) => println!("  ok      {}{elsewhere}", case.name),
                Err(problem) => {
                    println!("  FAILED  {}{elsewhere}\n          {problem}", case.name);
                    failures.push(case.name);
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:?}; logs:{}", world.logs());
}
