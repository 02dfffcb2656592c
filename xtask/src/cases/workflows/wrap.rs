use super::{
    blocks::Block,
    table::{Case, Part},
};

/// What a job that another one needs is when it is not there.
const NEEDED: &str = "    runs-on: ubuntu-latest\n    steps:\n      - run: \"true\"\n";

const CHECKOUT: &str = "      - uses: actions/checkout@v4\n";

/// Whether the table must know a block: all YAML, and every script with an expression in it.
pub fn may_be_a_pipeline(block: &Block) -> bool {
    block.language == "yaml" || block.language == "yml" || block.text.contains("${{")
}

/// Whether a block cannot be anything but a part of a workflow of the service.
pub fn is_of_the_service(block: &Block) -> bool {
    let mut lines = block.text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.any(|line| line.starts_with("runs-on:") || line.starts_with("uses:"))
}

/// The block as a whole workflow; nothing in it is changed.
pub fn workflow(part: Part, block: &str, case: &Case) -> String {
    let head = "on: push\njobs:\n";
    let job = "  listed:\n    runs-on: ubuntu-latest\n";
    match part {
        Part::Workflow | Part::Other(_) => block.to_owned(),
        Part::Together => format!("{head}{}", indented(block, 2)),
        Part::Job => {
            let needed: String =
                case.needed.iter().map(|name| format!("  {name}:\n{NEEDED}")).collect();
            format!("{head}{needed}{}", indented(block, 2))
        }
        Part::Keys => {
            let steps = "    steps:\n      - run: echo the job goes on\n";
            format!("{head}{job}{}{steps}", indented(block, 4))
        }
        Part::Steps => {
            let before: String =
                case.before.iter().map(|run| format!("      - run: {run}\n")).collect();
            format!("{head}{job}    steps:\n{CHECKOUT}{before}{}", indented(block, 6))
        }
        Part::Script => {
            format!("{head}{job}    steps:\n{CHECKOUT}      - run: |\n{}", indented(block, 10))
        }
    }
}

fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| match line.trim().is_empty() {
        true => "\n".to_owned(),
        false => format!("{}{line}\n", " ".repeat(by)),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::workflows::table::CASE;

    #[test]
    fn a_block_gets_the_wrapper_that_it_needs() {
        let steps = workflow(Part::Steps, "- run: |\n    a\n\n    b\n", &CASE);
        assert!(
            steps.ends_with("checkout@v4\n      - run: |\n          a\n\n          b\n"),
            "{steps}"
        );
        let case = Case { needed: &["x"], ..CASE };
        let job = workflow(Part::Job, "a:\n  needs: x\n", &case);
        assert!(job.starts_with("on: push\njobs:\n  x:\n    runs-on:"), "{job}");
        assert!(job.ends_with("\n  a:\n    needs: x\n"), "{job}");
    }
}
