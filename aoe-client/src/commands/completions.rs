//! `aoe completions`

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;

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
    io::stdout().write_all(&script).context("standard output")
}
