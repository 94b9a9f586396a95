//! Waiting for a time that seldom changes, by somebody who asks for it often: the runtime is
//! told of it once, and not each time, which takes its lock and may wake it up.

use std::{future::Future, pin::Pin};

type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Something that rings at a time, or never.
pub(super) struct Alarm<'a, T> {
    set: Option<(T, Sleep<'a>)>,
}

impl<T> Default for Alarm<'_, T> {
    fn default() -> Self {
        Self { set: None }
    }
}

impl<'a, T: Copy + PartialEq> Alarm<'a, T> {
    /// Lets it ring at `at`, for which `sleep` waits; or never.
    pub(super) fn set(&mut self, at: Option<T>, sleep: impl FnOnce(T) -> Sleep<'a>) {
        if self.set.as_ref().map(|(known, _)| *known) != at {
            self.set = at.map(|at| (at, sleep(at)));
        }
    }

    /// Waits until it rings. Then it is to be set anew. Cancel safe.
    pub(super) async fn rings(&mut self) {
        match &mut self.set {
            Some((_, sleep)) => sleep.await,
            None => std::future::pending().await,
        }
        self.set = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn it_rings_once_and_waits_anew_only_for_another_time() {
        let mut made = 0;
        let mut alarm = Alarm::default();
        // Of these times, 5 has come.
        let mut set = |alarm: &mut Alarm<'_, i32>, at| {
            alarm.set(at, |at| {
                made += 1;
                if at == 5 { Box::pin(ready(())) } else { Box::pin(pending()) }
            });
            made
        };
        assert_eq!(set(&mut alarm, None), 0);
        assert!(alarm.rings().now_or_never().is_none(), "never is not now");
        assert_eq!([9, 9, 8, 8].map(|at| set(&mut alarm, Some(at))), [1, 1, 2, 2]);
        assert!(alarm.rings().now_or_never().is_none());
        assert_eq!(set(&mut alarm, Some(8)), 2, "it still waits");
        assert_eq!(set(&mut alarm, Some(5)), 3);
        assert!(alarm.rings().now_or_never().is_some());
        assert!(alarm.rings().now_or_never().is_none(), "once");
        assert_eq!(set(&mut alarm, Some(5)), 4, "it was set anew");
        assert!(alarm.rings().now_or_never().is_some());
        assert_eq!(set(&mut alarm, None), 4);
        assert!(alarm.rings().now_or_never().is_none());
    }
}
