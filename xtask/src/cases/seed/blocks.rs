use super::script;

/// A fenced block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The one that it stands under; empty before the first.
    pub heading: String,
    /// The word after the opening fence.
    pub language: String,
    /// Of the opening fence, from 1 on.
    pub line: usize,
    pub text: String,
}

/// All blocks of a page, less the indentation of their fence. In a script, a fence inside a here-document is a part of it and ends nothing.
///
/// # Errors
/// A block, or a here-document in one, is left open.
pub fn read(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let (mut lines, mut heading) = (page.lines().enumerate(), "");
    while let Some((number, line)) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim();
        }
        let inner = line.trim_start();
        let Some(language) = inner.strip_prefix("```") else { continue };
        let block = Block {
            heading: heading.to_owned(),
            language: language.trim().to_owned(),
            line: number + 1,
            text: String::new(),
        };
        blocks.push(body(block, &line[..line.len() - inner.len()], &mut lines)?);
    }
    Ok(blocks)
}

fn body<'a>(
    mut block: Block,
    indentation: &str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Block, String> {
    let is_script = matches!(block.language.as_str(), "bash" | "sh" | "shell");
    let mut until: Option<String> = None;
    for (_, line) in lines {
        let line = line.strip_prefix(indentation).unwrap_or(line);
        match &until {
            Some(word) if line == word => until = None,
            Some(_) => {}
            None if line.trim_end() == "```" => return Ok(block),
            None if is_script => until = script::here_document(line),
            None => {}
        }
        block.text.push_str(line);
        block.text.push('\n');
    }
    Err(format!("the block that begins in line {} has no end", block.line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_inside_a_here_document_ends_nothing() {
        let page = "# A\n```bash\ngrit x \"$(cat <<'END'\n```\nboom\n```\nEND\n)\"\n```\ntext\n```yaml\na: <<END\n```\n";
        let blocks = read(page).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].language.as_str(), blocks[0].line), ("bash", 2));
        assert_eq!(blocks[0].text, "grit x \"$(cat <<'END'\n```\nboom\n```\nEND\n)\"\n");
        assert_eq!(blocks[1].text, "a: <<END\n");
    }

    #[test]
    fn an_indented_block_stands_under_its_heading() {
        let blocks = read("## Two\n- x\n  ```yaml\n  a:\n    b\n\n  ```\n# Three\n").unwrap();
        assert_eq!((blocks.len(), blocks[0].heading.as_str()), (1, "Two"));
        assert_eq!(blocks[0].text, "a:\n  b\n\n");
    }

    #[test]
    fn what_is_left_open_is_refused() {
        assert!(read("```bash\ntrue\n").is_err());
        assert!(read("```bash\ncat <<E\n```\n").unwrap_err().contains("line 1"));
    }
}
