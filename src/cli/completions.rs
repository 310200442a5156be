//! Shell completions, from the same table as `--help`.

use clap::CommandFactory;
use clap_complete::{Shell as Known, generate};

use super::args::{Cli, Shell};

/// Returns the completions for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_the_flags_and_not_the_hidden_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Nushell, Shell::PowerShell, Shell::Elvish] {
            let text = String::from_utf8(completions(shell)).unwrap();
            assert!(text.contains("heap-limit") && text.contains("dead-letter"), "{shell:?}");
            assert!(!text.contains("bench-step") && !text.contains("suite-worker"), "{shell:?}");
        }
    }
}
