//! The requests of operators: what `settle` and `forget` leave for the run that owns the directory. The writer looks for them between commits,
//! and answers each in a commit of its own.

use super::logline;
use super::writer::{Writer, Written};
use crate::operator;
use crate::problem::Problem;
use crate::settling::Budget;
use crate::upkeep::Outcome;
use std::sync::Arc;
use storage::{Answer, Asked, CommitKind, RequestKind, remove_request, requests};

impl Writer {
    /// Answers the requests that wait; what that changes is added to `written`.
    pub(super) fn answer_requests(&mut self, written: &mut Written) -> Result<(), Problem> {
        if self.owner.chain().newest().is_none() {
            return Ok(());
        }
        let waiting = self.until_it_fits(|writer| Ok(requests(writer.owner.store())?))?;
        for asked in waiting {
            self.until_it_fits(|writer| writer.answer(&asked, written))?;
            // Answered a second time after a crash, it would find nothing to do.
            self.until_it_fits(|writer| Ok(remove_request(writer.owner.store(), &asked.name)?))?;
        }
        Ok(())
    }

    fn answer(&mut self, asked: &Asked, written: &mut Written) -> Result<(), Problem> {
        let scratch = self.owner.store().scratch();
        let budget = Budget::beside_live(self.settings.memory_bytes, self.settings.lanes, scratch);
        let kind = asked.request.as_ref().map_or(CommitKind::Tidy, |request| match request.kind {
            RequestKind::Settle => CommitKind::Settle,
            RequestKind::Forget => CommitKind::Forget,
        });
        let outcome = match &asked.request {
            Ok(request) => operator::obey(&self.owner, Some(&mut self.keys), request, &budget),
            Err(what) => Err(Problem::usage(format!("The request cannot be read: {what}."))),
        };
        let (commit, mut draft, said, code) = match outcome {
            Ok(Outcome::Commit(made)) => {
                let (commit, draft, said) = *made;
                (commit, draft, said, 0)
            }
            Ok(Outcome::Nothing(said)) => (self.owner.begin(), self.draft(kind), said, 0),
            // Room will come; whatever else is wrong is for whoever asked, and the run goes on.
            Err(problem) if problem.awaits.is_some() => return Err(problem),
            Err(problem) => {
                let code = problem.exit_code();
                (self.owner.begin(), self.draft(kind), problem.message, code)
            }
        };
        if let (Ok(request), CommitKind::Forget, 0) = (&asked.request, kind, code) {
            self.registry.forget(&request.broadcast_id);
            written.forgotten.push(Arc::from(request.broadcast_id.as_str()));
        }
        draft.answers = vec![Answer { request: asked.name.clone(), answer: said.clone(), code }];
        self.publish(&commit, &draft)?;
        if let (Ok(request), CommitKind::Settle) = (&asked.request, kind)
            && let Some(frontier) = self.frontiers().get(&request.broadcast_id)
        {
            written.frontiers.push((self.registry.place(&request.broadcast_id), *frontier));
        }
        let line = if code == 0 { logline::info(&said) } else { logline::warning(&said) };
        logline::say(self.settings.log_format, &line);
        Ok(())
    }
}
