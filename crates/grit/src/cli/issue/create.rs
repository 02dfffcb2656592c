use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use grit_diag::Source;
use grit_issues::template::{self, Template};
use grit_issues::{Draft, TEXT_BYTES_MAX};

use super::args::Create;
use super::attach;
use super::tracker::Tracker;
use crate::cli::place::Place;
use crate::exit::{Exit, Failure};
use crate::ui::{Ui, table};

/// Where a repository keeps templates of its own.
const TEMPLATES: &str = ".grit/templates";

pub fn run(options: &Create, place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let draft = draft(options, place, ui)?;
    let files = options.attach.iter().map(|file| attach::read(file, None, None, place));
    let files: Vec<attach::File> = files.collect::<Result<_, _>>()?;
    let mut tracker = Tracker::open(place)?;
    let (id, is_new) = tracker.create(draft)?;
    attach::to(&mut tracker, &id, is_new, files)?;
    if !is_new {
        ui.status("It was created before, under the same key.");
    }
    ui.data(&serde_json::json!({ "id": id, "created": is_new }), |_| format!("{id}\n"));
    Ok(Exit::Done)
}

fn draft(options: &Create, place: &Place, ui: &Ui) -> Result<Draft, Failure> {
    let mut draft = match &options.template {
        Some(name) => filled(name, options, place, ui)?,
        None => Draft::default(),
    };
    if !options.title.is_empty() {
        draft.title.clone_from(&options.title);
    }
    let body = match &options.body_file {
        Some(file) => read_text(file)?,
        None => options.body.clone(),
    };
    if !body.is_empty() {
        draft.body = body;
    }
    draft.labels.extend(options.labels.iter().cloned());
    draft.assignees.extend(options.assignees.iter().cloned());
    draft.milestone = options.milestone.clone().or(draft.milestone);
    draft.priority = options.priority.or(draft.priority);
    draft.due = options.due.or(draft.due);
    draft.key.clone_from(&options.key);
    Ok(draft)
}

fn filled(name: &str, options: &Create, place: &Place, ui: &Ui) -> Result<Draft, Failure> {
    let own = own_templates(place, ui)?;
    let unknown = |error: template::UnknownTemplate| {
        Failure::new(Exit::NotFound, "template", error.to_string()).hint("`grit issue templates`")
    };
    let template = template::find(name, &own).map_err(unknown)?;
    let mut values = BTreeMap::new();
    for pair in &options.values {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Failure::new(Exit::Usage, "usage", format!("`--set {pair}` is not NAME=VALUE"))
        })?;
        values.insert(name.to_owned(), value.to_owned());
    }
    let filled = template.fill(&values);
    let lacking: Vec<&str> = match options.title.is_empty() {
        true => filled.missing_in_title.iter().map(String::as_str).collect(),
        false => vec![],
    };
    if let [first, ..] = lacking[..] {
        let message = format!("the template's title needs {}", lacking.join(", "));
        let hint = format!("give each: `--set {first}=VALUE`, or a title of your own: `--title`");
        return Err(Failure::new(Exit::Usage, "template", message).hint(hint));
    }
    if !filled.missing.is_empty() {
        let open: Vec<&str> = filled.missing.iter().map(String::as_str).collect();
        ui.status(format!("Left open in the text: {}", open.join(", ")));
    }
    Ok(filled.draft)
}

/// The repository's own; one that cannot be read is told, and the others are there all the same.
fn own_templates(place: &Place, ui: &Ui) -> Result<Vec<Template>, Failure> {
    let Some(worktree) = place.repository()?.worktree() else { return Ok(vec![]) };
    let Ok(entries) = std::fs::read_dir(worktree.join(TEMPLATES)) else { return Ok(vec![]) };
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let mut templates = Vec::new();
    for file in files {
        let text = read_text(&file)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{TEMPLATES}/{stem}.md");
        let (template, findings) = template::parse(&stem, &Source::new(name, text));
        if !findings.is_empty() {
            ui.status(grit_diag::render::plain(&findings).trim_end());
        }
        templates.extend(template);
    }
    Ok(templates)
}

/// A text of bounded size, from a file or from standard input.
fn read_text(file: &Path) -> Result<String, Failure> {
    let name = file.display();
    let unreadable = |error: std::io::Error| Failure::because(&format!("read {name}"), &error);
    let limit = TEXT_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(file).map_err(unreadable)?;
        file.take(limit).read_to_string(&mut text).map_err(unreadable)?;
    }
    Ok(text)
}

pub fn templates(place: &Place, ui: &Ui) -> Result<Exit, Failure> {
    let own = own_templates(place, ui)?;
    let mut all: BTreeMap<String, Template> = BTreeMap::new();
    for template in template::builtin::all().into_iter().chain(own) {
        all.insert(template.name.clone(), template);
    }
    let view = |template: &Template| {
        let needs: Vec<&str> = template.placeholders().into_iter().collect();
        serde_json::json!({ "name": template.name, "about": template.about, "values": needs })
    };
    let views: Vec<_> = all.values().map(view).collect();
    ui.data(&views, |_| {
        let row = |template: &Template| {
            let needs: Vec<&str> = template.placeholders().into_iter().collect();
            vec![template.name.clone(), template.about.clone(), needs.join(", ")]
        };
        table(&["NAME", "FOR", "VALUES"], &all.values().map(row).collect::<Vec<_>>())
    });
    Ok(Exit::Done)
}
