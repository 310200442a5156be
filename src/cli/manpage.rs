//! The man page and the completions, from the same table as `--help`.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::Roff;

use super::args::{Cli, Shell};

/// The completions for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    use clap_complete::{Shell as Known, generate};
    let mut out = Vec::new();
    let mut command = Cli::command();
    let known = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
        Shell::PowerShell => Known::PowerShell,
        Shell::Elvish => Known::Elvish,
        Shell::Nushell => {
            generate(clap_complete_nushell::Nushell, &mut command, "sluicegate", &mut out);
            return out;
        }
    };
    generate(known, &mut command, "sluicegate", &mut out);
    out
}

/// The man page: the program, then each command.
///
/// # Errors
/// Never in fact: it is written to memory.
pub fn man() -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut command = Cli::command().disable_help_flag(true);
    command.build();
    let page = Man::new(command.clone());
    for part in [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
        Man::render_extra_section,
    ] {
        part(&page, &mut out)?;
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        Roff::new().control("SH", [format!("sluicegate {}", sub.get_name()).as_str()]).to_writer(&mut out)?;
        let page = Man::new(sub.clone());
        for part in [
            Man::render_synopsis_section,
            Man::render_description_section,
            Man::render_options_section,
            Man::render_extra_section,
        ] {
            part(&page, &mut out)?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_know_the_flags_and_not_the_hidden_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Nushell, Shell::PowerShell, Shell::Elvish] {
            let text = String::from_utf8(completions(shell)).unwrap();
            assert!(text.contains("heap-limit") && text.contains("dead-letter"), "{shell:?}");
            assert!(!text.contains("bench-step") && !text.contains("suite-worker"), "{shell:?}");
        }
        let man = String::from_utf8(man().unwrap()).unwrap();
        assert!(man.contains("heap\\-limit") && man.contains(".SH \"sluicegate check\""), "{man}");
        assert!(!man.contains("worker process, started by the others"), "{man}");
    }
}
