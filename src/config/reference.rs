//! The reference of directives in the README, made from the table.

use std::fmt::Write;

use super::directives::DIRECTIVES;
use super::lines::TARGET_KEYS;
use super::rules::RULE_KEYS;

/// The reference as Markdown: a table of directives, one of a target's keys, and one of a rule's.
pub fn markdown() -> String {
    let mut page =
        String::from("| directive | context | default | what it does |\n|---|---|---|---|\n");
    for directive in &DIRECTIVES {
        let (name, help) = (directive.name.to_string_lossy(), directive.help.to_string_lossy());
        let arguments = directive.arguments.replace('|', "\\|");
        let (context, default) = (directive.context.manual(), directive.default);
        let block = if directive.in_block { ", target's block" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{name} {arguments}` | {context}{block} | {default} | {help} |");
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

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- directives:begin -->\n";
    const END: &str = "<!-- directives:end -->";

    /// `UPDATE_README=1 cargo test --no-default-features reference` writes it anew.
    #[test]
    fn the_readme_holds_the_reference_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (written, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", markdown())).unwrap();
        } else {
            assert_eq!(written, markdown(), "set UPDATE_README=1 to write it anew");
        }
    }
}
