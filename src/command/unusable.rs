//! What a scheduler's start does where etlsched.yaml has errors: it tells people of them, as far as what is good of the file says how.

use super::post::{Post, Talk};
use super::{Context, stored};
use crate::engine;
use crate::job::Problem;
use crate::process::Stop;

/// Tells of the problems of etlsched.yaml, once, and sends what waits. Never changes what the command ends with: its own error says it all.
pub(super) fn tell(context: &Context, problems: &[Problem]) {
    let Some(workspace) = context.workspace_to_tell() else { return };
    let Ok(Some(mut store)) = stored::open_existing(&workspace) else { return };
    // Where the store can't be written, the next start says so.
    let _ = engine::tell_unusable(&workspace, &mut store, problems);
    let mut post = Post::new(&workspace);
    post.send_from(&mut store, &Stop::new(), Talk::Mail);
    post.end();
}
