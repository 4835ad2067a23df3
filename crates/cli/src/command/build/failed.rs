//! What a failed step left, with `--debug`: a shell in it on a terminal, otherwise where to find it.

use std::io::{self, IsTerminal};

use crate::command::compose::hand_on;
use crate::command::container::run::RUN;
use crate::command::image::remove::REMOVE;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::terminal;

/// Offers a shell, or names the image.
pub(super) async fn show(session: &Session, image: &str) -> Result<(), Failure> {
    let short = image.trim_start_matches("sha256:").get(..12).unwrap_or(image);
    let asks = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    let wanted = asks
        && terminal::confirm("Open a shell in the files that the failed step left?")
            .map_err(|error| Failure::local(error.to_string()))?;
    if !wanted {
        let hint = format!("hako run -it --rm {short}");
        return output::complain(format!("The failed step left the image {image}: look around with `{hint}`.\n"));
    }
    let words = ["--interactive", "--tty", "--rm", image].map(str::to_owned).to_vec();
    // How the shell ends says nothing of the build.
    let _ = hand_on(session, &RUN, words).await;
    hand_on(session, &REMOVE, vec![image.to_owned()]).await
}
