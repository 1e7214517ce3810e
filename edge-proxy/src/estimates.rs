//! What the planner expects of statements that wait, asked for once where many sessions wait with the same.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use writ_model::JointDigest;

type Plan = BoxFuture<'static, Option<f64>>;

/// The questions under way: each is a connection to the database, and a storm of sessions must not become one of those.
#[derive(Clone, Default)]
pub(crate) struct Estimates(Arc<Mutex<HashMap<JointDigest, WeakShared<Plan>>>>);

impl Estimates {
    /// The answer to `plan`, or to the same question that somebody else asks at this moment.
    pub(crate) fn share(
        &self,
        what: JointDigest,
        plan: impl Future<Output = Option<f64>> + Send + 'static,
    ) -> Shared<Plan> {
        let mut under_way = self.0.lock();
        if let Some(asked) = under_way.get(&what).and_then(WeakShared::upgrade) {
            return asked;
        }
        under_way.retain(|_, asked| asked.upgrade().is_some());
        let plan = plan.boxed().shared();
        if let Some(weak) = plan.downgrade() {
            under_way.insert(what, weak);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_same_question_is_asked_once_at_a_time() {
        let (estimates, asked) = (Estimates::default(), Arc::new(AtomicU32::new(0)));
        let question = |rows: f64| {
            let asked = Arc::clone(&asked);
            async move {
                asked.fetch_add(1, Ordering::Relaxed);
                Some(rows)
            }
        };
        let (one, other) = (JointDigest([1; 32]), JointDigest([2; 32]));
        let first = estimates.share(one, question(1.0));
        let same = estimates.share(one, question(2.0));
        let another = estimates.share(other, question(3.0));
        assert_eq!((same.await, another.await), (Some(1.0), Some(3.0)));
        assert_eq!(first.await, Some(1.0));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!(estimates.share(one, question(4.0)).await, Some(4.0), "asked again later");
    }
}
