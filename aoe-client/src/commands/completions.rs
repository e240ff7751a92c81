//! `aoe completions`

use clap::Args;
use clap_complete::Shell;

use super::print;

const EXAMPLES: &str = "\
Examples:
  aoe completions bash > /etc/bash_completion.d/aoe
  aoe completions zsh > /usr/local/share/zsh/site-functions/_aoe
  aoe completions fish > ~/.config/fish/completions/aoe.fish";

/// Print a script that teaches a shell to complete this command
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "aoe", &mut script);
    print(String::from_utf8(script)?.trim_end())
}
