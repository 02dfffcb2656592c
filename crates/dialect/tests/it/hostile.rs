use grit_dialect::github;
use proptest::prelude::*;

const WORKFLOW: &str = "name: 'CI é'\non: {push: {branches: [\"ma\\u0069n\", 'v''1']}}\nenv: {A: \"x\\\"${{ github.ref }}\"}\njobs:\n  a:\n    runs-on: ${{ matrix.os }}\n    strategy: {matrix: {os: [x, y], include: [{os: x, z: 1}]}}\n    if: github.ref == 'refs/heads/main' && always()\n    steps:\n      - run: >-\n          echo ${{ env.A }}\n          more ${{ format('{0}', 1) }}\n      - uses: actions/checkout@v4\n        with: {fetch-depth: 0}\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A file with something cut out, put in or doubled never makes the reader panic, and where it
    /// is found sound there is a plan.
    #[test]
    fn any_damage_is_survived(
        from in 0..WORKFLOW.len(),
        length in 0usize..40,
        insert in "[ \\n'\"${}\\[\\]&*!|>:,a-z0-9é#.-]{0,12}",
    ) {
        let from = WORKFLOW.floor_char_boundary(from);
        let to = WORKFLOW.ceil_char_boundary((from + length).min(WORKFLOW.len()));
        let text = format!("{}{insert}{}", &WORKFLOW[..from], &WORKFLOW[to..]);
        let (plan, diagnostics) = github::read("ci.yml", &text);
        prop_assert!(plan.is_some() || diagnostics.has_errors());
    }
}
