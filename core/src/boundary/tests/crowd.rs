//! Decisions of one process that get in each other's way.

use super::*;

/// Lets others run around each append, and counts.
struct Crowded {
    inner: Arc<MemoryStore>,
    appends: AtomicU32,
    reads: AtomicU32,
}

impl Crowded {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: store(), appends: AtomicU32::new(0), reads: AtomicU32::new(0) })
    }
}

#[async_trait::async_trait]
impl crate::StoreLayer for Crowded {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append(&self, append: Append) -> Result<crate::Appended, crate::AppendError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let appended = self.inner.append(append).await;
        tokio::task::yield_now().await;
        appended
    }

    fn returns_what_was_appended(&self) -> bool {
        true
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<crate::Page, crate::ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let page = self.inner.read_all(selection, after, limit).await;
        tokio::task::yield_now().await;
        page
    }
}

/// Without the turnstiles, the last of 32 loses up to 31 times, and is given up after ten.
#[tokio::test]
async fn decisions_of_one_process_lose_against_each_other_once_at_most() {
    const DECISIONS: u32 = 32;
    let store = Crowded::new();
    let boundaries = Boundaries::new(store.clone());
    let deciding = (0..DECISIONS).map(|_| {
        let boundaries = boundaries.clone();
        tokio::spawn(async move {
            let decide = |_: &Trace| -> Result<_, Infallible> { Ok(vec![mark(0, &["k:1"])]) };
            boundaries.decide(Trace::tagged("k", "1"), decide).await.unwrap();
        })
    });
    for decided in deciding.collect::<Vec<_>>() {
        decided.await.unwrap();
    }
    let appends = store.appends.load(Ordering::SeqCst);
    assert!((DECISIONS + 1..2 * DECISIONS).contains(&appends), "{appends} appends were tried");
}

/// A crowd that keeps its boundaries, and a rival that knows nothing of it and appends now and then.
async fn crowd_with_a_rival(store: &Arc<Crowded>, most: usize, rival_appends: usize) -> Vec<Trace> {
    let boundaries = Boundaries::new(store.clone());
    let deciding = (0..8).map(|_| {
        let boundaries = boundaries.clone();
        tokio::spawn(async move {
            let mut kept = boundaries.load(Trace::tagged("k", "1")).await.unwrap();
            for _ in 0..20 {
                let decided = boundaries.decide_on(&mut kept, Metadata::default(), one_more(most));
                match decided.await {
                    Ok(_) => {}
                    Err(BoundaryError::Rejected(Enough)) => {
                        assert!(kept.state().seen.len() >= most)
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            kept.state().clone()
        })
    });
    let deciding: Vec<_> = deciding.collect();
    for _ in 0..rival_appends {
        for _ in 0..7 {
            tokio::task::yield_now().await;
        }
        put(&store.inner, &mark(0, &["k:1"])).await;
    }
    let mut traces = Vec::new();
    for decided in deciding {
        traces.push(decided.await.unwrap());
    }
    traces
}

/// Two round trips would be 160 reads.
#[tokio::test]
async fn who_keeps_a_boundary_takes_over_what_those_before_it_in_line_have_appended() {
    let store = Crowded::new();
    crowd_with_a_rival(&store, usize::MAX, 0).await;
    let (appends, reads) =
        (store.appends.load(Ordering::SeqCst), store.reads.load(Ordering::SeqCst));
    assert!(reads < 40 && appends < 170, "{reads} reads, {appends} appends for 160 decisions");
}

/// What is handed on is what a read would have shown, whoever comes in between.
#[tokio::test]
async fn nobody_decides_on_less_than_the_log_held() {
    for rival_appends in [0, 1, 10, 30] {
        let store = Crowded::new();
        let traces = crowd_with_a_rival(&store, 100, rival_appends).await;
        let log = all(&store.inner).await;
        assert!((100..=100 + rival_appends).contains(&log.len()), "{} events", log.len());
        for trace in traces {
            let stood: Vec<_> = log.iter().map(|event| event.position).collect();
            assert!(stood.starts_with(&trace.seen), "{:?}", trace.seen);
        }
    }
}

/// And whole: not only where it stands.
#[tokio::test]
async fn an_event_that_is_handed_on_is_the_one_that_is_read() {
    let store = Crowded::new();
    let traces = crowd_with_a_rival(&store, usize::MAX, 0).await;
    let reads = store.reads.load(Ordering::SeqCst);
    assert!(reads < 40, "{reads} reads: most was handed on");
    let log = all(&store.inner).await;
    for trace in traces {
        assert_eq!(trace.recorded, log[..trace.recorded.len()]);
    }
    let personal = serde_json::json!({ "$personal": { "subject": "ada", "value": 1 } });
    for (data, is_handed_on) in [(serde_json::json!({ "personal": 1 }), true), (personal, false)] {
        let event = NewEvent::new("mark.red", &data).unwrap();
        assert_eq!(boundaries::comes_back_as_it_is(&*store, &event), is_handed_on);
    }
}
