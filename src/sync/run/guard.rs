//! Checks whether a run may go on, once it is known what would be sent.

use std::sync::Arc;

use super::super::config::{Config, Mode};
use super::super::delivery::Channel;
use super::super::detect::{Detected, RowCounts};
use super::super::error::{Error, Result};
use super::super::state::State;
use super::Options;

/// Meta key that is set once a run has completed without pending rows.
pub(super) const FIRST_SYNC: &str = "first_sync";

/// Returns an error if the user has to look at these changes before they are sent.
pub(super) fn may_go_on(
    config: &Config,
    options: &Options,
    state: &State,
    code: &str,
    mapping: &str,
    detected: &Detected,
) -> Result<()> {
    let counts = &detected.counts;
    let known = state.known()?;
    let changed = counts.new + counts.changed;
    let nothing = |message: String| Error::new(format!("{message}; nothing was sent"));
    let is_mirror = config.changes.mode == Mode::Mirror;
    if is_mirror && counts.read == 0 && known > 0 {
        return Err(nothing(format!("the source is empty, and this sync is a mirror of {known} keys")).help(
            "an empty table is mostly a broken one. To delete all keys on purpose, leave one row and go on with --yes",
        ));
    }
    if known > 0 && !options.resync && !options.baseline {
        code_is_known(options, state, code, mapping, counts)?;
    }
    if options.yes || options.baseline {
        return Ok(());
    }
    // During the first sync all rows are changes, even if it takes several runs.
    let is_first = state.meta(FIRST_SYNC)?.is_none();
    if let Some(max) = config.changes.max_changes.filter(|_| !is_first && !options.resync)
        && config.changes.mode != Mode::Full
        && changed > max.of(known)
    {
        return Err(nothing(format!(
            "{changed} rows are new or changed, and max_changes is {max} of {known} known keys, {} rows",
            max.of(known)
        ))
        .help("look at them with --dry-run; if they are right, go on with --yes"));
    }
    let max = config.changes.max_deletes;
    if is_mirror && counts.deletes > max.of(known) {
        return Err(nothing(format!(
            "{} keys are gone from the source, and max_deletes is {max} of {known} known keys, {} rows",
            counts.deletes,
            max.of(known)
        ))
        .help("a table that is suddenly smaller is mostly a broken one; look with --dry-run; if it is right, go on with --yes"));
    }
    Ok(())
}

/// Returns the meta key for the address of a sink.
pub(super) fn place_of(channel: &Channel) -> String {
    format!("place of {}", channel.config.name)
}

/// Returns an error if a sink's address has changed since the last run. After a switch from a test server to the real
/// one, a run would otherwise send nothing and call that complete.
pub(super) fn places_are_known(options: &Options, state: &State, channels: &[Arc<Channel>]) -> Result<()> {
    if options.dry || options.resync || options.keep_settled {
        return Ok(());
    }
    for channel in channels {
        if state.meta(&place_of(channel))?.is_some_and(|before| before != channel.sink.place()) {
            let name = &channel.config.name;
            return Err(Error::new(format!("the sink {name} sends to another place than in the last run; nothing was sent"))
                .help("is it another destination? give the sink a name of its own, and it gets all rows. Is it the same one under another address? go on with --keep-settled"));
        }
    }
    Ok(())
}

/// Returns an error if the code or the mapping has changed: the user has to decide what happens to the settled rows.
fn code_is_known(options: &Options, state: &State, code: &str, mapping: &str, counts: &RowCounts) -> Result<()> {
    let is_other = |key: &str, now: &str| Ok::<_, Error>(state.meta(key)?.is_some_and(|before| before != now));
    let plan = format!(
        "{} of {} rows are settled, {} would go out anyway, and nothing was sent",
        counts.unchanged,
        counts.read,
        counts.new + counts.changed
    );
    if is_other("mapping", mapping)? {
        return Err(Error::new(format!("the mapping in [event] or the key is another one than in the last run: {plan}"))
            .help("see what would go out with --dry-run --resync; send all rows in the new form with --resync, or mark them as sent with `sluicegate sync baseline`"));
    }
    if is_other("code", code)? && !options.keep_settled {
        return Err(Error::new(format!("the transformation is another one than in the last run: {plan}"))
            .help("see what would go out with --dry-run --resync; send all rows through the new code with --resync, or use it for rows that change from now on with --keep-settled"));
    }
    Ok(())
}
