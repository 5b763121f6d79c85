//! The requests of operators: what `settle` and `forget` leave for the run that owns the directory. The writer looks
//! for them between commits, and answers each in a commit of its own.

use super::message::Written;
use super::operator::obey;
use super::publisher::Publisher;
use super::said::Said;
use problem::Problem;
use settling::Budget;
use std::sync::Arc;
use storage::upkeep::Outcome;
use storage::{Answer, Asked, CommitKind, RequestKind, remove_request, requests};

/// Answers the requests that wait; what that changes is added to `written`.
pub(super) fn answer_requests(publisher: &mut Publisher, written: &mut Written) -> Result<(), Problem> {
    if publisher.committer.chain().newest().is_none() {
        return Ok(());
    }
    let waiting = publisher.until_it_fits(|publisher| Ok(requests(publisher.committer.store())?))?;
    for asked in waiting {
        publisher.until_it_fits(|publisher| answer(publisher, &asked, written))?;
        // Answered a second time after a crash, it would find nothing to do.
        publisher.until_it_fits(|publisher| Ok(remove_request(publisher.committer.store(), &asked.name)?))?;
    }
    Ok(())
}

fn answer(publisher: &mut Publisher, asked: &Asked, written: &mut Written) -> Result<(), Problem> {
    let Publisher { committer, keys, options, .. } = publisher;
    let budget = Budget::beside_live(options.memory_bytes, options.lanes, committer.store().scratch());
    let kind = asked.request.as_ref().map_or(CommitKind::Tidy, |request| match request.kind {
        RequestKind::Settle => CommitKind::Settle,
        RequestKind::Forget => CommitKind::Forget,
    });
    let outcome = match &asked.request {
        Ok(request) => obey(committer, Some(keys), request, &budget),
        Err(what) => Err(Problem::usage(format!("The request cannot be read: {what}."))),
    };
    let (commit, mut draft, said, code) = match outcome {
        Ok(Outcome::Commit(made)) => {
            let (commit, draft, said) = *made;
            (commit, draft, said, 0)
        }
        Ok(Outcome::Nothing(said)) => (publisher.committer.begin(), publisher.draft(kind), said, 0),
        // Room will come; whatever else is wrong is for whoever asked, and the run goes on.
        Err(problem) if problem.awaits.is_some() => return Err(problem),
        Err(problem) => {
            let code = problem.exit_code();
            (publisher.committer.begin(), publisher.draft(kind), problem.message, code)
        }
    };
    if let (Ok(request), CommitKind::Forget, 0) = (&asked.request, kind, code) {
        publisher.registry.forget(&request.broadcast_id);
        written.forgotten.push(Arc::from(request.broadcast_id.as_str()));
    }
    draft.answers = vec![Answer { request: asked.name.clone(), answer: said.clone(), code }];
    publisher.publish(&commit, &draft)?;
    if let (Ok(request), CommitKind::Settle) = (&asked.request, kind)
        && publisher.frontiers().contains_key(&request.broadcast_id)
    {
        let frontier = publisher.frontier(&request.broadcast_id);
        written.frontiers.push((publisher.registry.place(&request.broadcast_id), frontier));
    }
    publisher.say(if code == 0 { Said::Info(said) } else { Said::Warning(said) });
    Ok(())
}
