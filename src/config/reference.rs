//! The reference of directives, `docs/directives.md`: its tables, and the head of each section, come from the table.

use std::fmt::Write;

use super::directives::{DIRECTIVES, Directive};
use super::lines::TARGET_KEYS;
use super::rules::RULE_KEYS;

/// Three tables as Markdown: of directives, of a target's keys, and of a rule's.
fn markdown() -> String {
    let mut page =
        String::from("| directive | context | default | what it does |\n|---|---|---|---|\n");
    for directive in &DIRECTIVES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            syntax(directive),
            context(directive),
            directive.default,
            help(directive)
        );
    }
    page.push_str(
        "\n| key of `CopyTarget` | value | default | what it sets |\n|---|---|---|---|\n",
    );
    for (name, value, default, help) in TARGET_KEYS {
        let _ = writeln!(page, "| `{name}=` | {value} | {default} | {help} |");
    }
    page.push_str(
        "\n| rule key of `CopyTarget` and `MirrorRequest` | value | default | which requests the target gets |\n\
         |---|---|---|---|\n",
    );
    for (name, value, default, help) in RULE_KEYS {
        let _ = writeln!(page, "| `{name}=` | {value} | {default} | {help} |");
    }
    page
}

/// The title of a directive's section.
fn title(directive: &Directive) -> String {
    let name = directive.name.to_string_lossy();
    if name.starts_with('<') { format!("`{name}>`") } else { name.into_owned() }
}

/// The head of a directive's section, as httpd's manual has it.
fn head(directive: &Directive) -> String {
    let default = if directive.default.is_empty() { "none" } else { directive.default };
    format!(
        "| | |\n|---|---|\n| Description | {} |\n| Syntax | `{}` |\n| Default | {default} |\n| Context | {} |\n\
         | Module | mod_copy |\n",
        help(directive),
        syntax(directive),
        context(directive),
    )
}

/// Bars are escaped: they would end a cell.
fn syntax(directive: &Directive) -> String {
    format!("{} {}", directive.name.to_string_lossy(), directive.arguments).replace('|', "\\|")
}

fn help(directive: &Directive) -> String {
    directive.help.to_string_lossy().replace('|', "\\|")
}

fn context(directive: &Directive) -> String {
    let block = if directive.in_block { ", target's block" } else { "" };
    format!("{}{block}", directive.context.manual())
}

const BEGIN: &str = "<!-- directives:begin -->\n";
const END: &str = "<!-- directives:end -->";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/directives.md");

/// The page with what comes from the table written anew; what was written by hand stays.
fn anew(page: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let (between, _) = after.split_once("\n## ").unwrap_or((after, ""));
    let mut anew = format!("{before}{BEGIN}{}{END}{}\n", markdown(), between.trim_end());
    for directive in &DIRECTIVES {
        let title = title(directive);
        let about = about(page, &title)
            .unwrap_or_else(|| "(what it is for)\n\n```apache\n\n```\n\nSee also: .\n".to_owned());
        anew += &format!("\n## {title}\n\n{}\n{about}", head(directive));
    }
    anew
}

/// What a section says by hand, after its head.
fn about(page: &str, title: &str) -> Option<String> {
    let (_, section) = page.split_once(&format!("\n## {title}\n"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let lines = section.lines().skip_while(|line| line.is_empty() || line.starts_with('|'));
    Some(lines.fold(String::new(), |text, line| text + line + "\n").trim_end().to_owned() + "\n")
}

/// `UPDATE_DOCS=1 cargo test --no-default-features --lib reference` writes it anew.
#[test]
fn the_page_holds_the_reference_of_the_table() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, anew(&page)).unwrap();
    } else {
        assert!(page == anew(&page), "set UPDATE_DOCS=1 to write docs/directives.md anew");
    }
}

/// That the examples are right is held by an integration test, on a real httpd.
#[test]
fn every_directive_is_explained_has_an_example_and_leads_on() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for directive in &DIRECTIVES {
        let title = title(directive);
        let about = about(&page, &title).expect(&title);
        assert!(!about.starts_with('(') && !about.starts_with("```"), "{title}: why?\n{about}");
        let (_, example) = about.split_once("```apache\n").unwrap();
        let name = directive.name.to_str().unwrap();
        assert!(example.contains(name), "{title} is not in its own example");
        assert!(about.contains("\nSee also: `") || about.contains("\nSee also: ["), "{title}");
    }
}
