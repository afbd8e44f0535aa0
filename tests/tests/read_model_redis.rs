//! Read models in Redis do what the suite demands, and what only this database promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use highwater::projections::{
    Project, ProjectError, Projection, ReadModel, ReadModelError, RedisBatch, RedisReadModel,
};
use highwater::{GlobalPosition, RecordedEvent};
use highwater_tests::conformance::read_model::given::{
    Tally, TallyEvent, apply_all, assert_is_fold, log_of, next_page,
};
use highwater_tests::conformance::read_model::{ReadModelFactory, Shown};
use highwater_tests::enrol_read_model;
use highwater_tests::services;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;

enrol_read_model!(redis_server, RedisPrefix::fresh().await);

/// A read model beneath a prefix of its own.
struct RedisPrefix {
    prefix: String,
    url: String,
}

impl RedisPrefix {
    async fn fresh() -> Self {
        let redis = services::redis().await;
        Self { prefix: redis.fresh_prefix(), url: redis.url().to_owned() }
    }

    async fn connection(&self) -> ConnectionManager {
        let client = redis::Client::open(self.url.as_str()).expect("a valid URL");
        ConnectionManager::new(client).await.expect("Redis answers")
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> =
            self.connection().await.keys(self.key("*")).await.expect("the keys");
        keys.sort_unstable();
        keys
    }

    async fn scripted(&self, script: Scripted) -> RedisReadModel<Scripted> {
        RedisReadModel::new(script, self.connection().await, &self.prefix)
    }
}

#[async_trait]
impl ReadModelFactory for RedisPrefix {
    async fn open(&self) -> Arc<dyn ReadModel> {
        Arc::new(RedisReadModel::new(Tally, self.connection().await, &self.prefix))
    }

    async fn shown(&self) -> Shown {
        let mut connection = self.connection().await;
        let journal: Vec<u64> =
            connection.lrange(self.key("journal"), 0, -1).await.expect("the journal");
        let counts: BTreeMap<String, i64> =
            connection.hgetall(self.key("tally")).await.expect("the counts");
        Shown { journal, counts }
    }
}

/// Sends for each event what the function says.
struct Scripted(fn(&mut RedisBatch, u64));

impl Projection for Scripted {
    type Event = TallyEvent;
    const NAME: &'static str = "tally";
}

#[async_trait]
impl Project<RedisBatch> for Scripted {
    async fn project(
        &self,
        _: &TallyEvent,
        recorded: &RecordedEvent,
        batch: &mut RedisBatch,
    ) -> Result<(), ProjectError> {
        (self.0)(batch, recorded.position.get());
        Ok(())
    }
}

/// Applies a page of four events with `script`, and says what came of it and where it stands.
async fn applied(
    prefix: &RedisPrefix,
    script: fn(&mut RedisBatch, u64),
) -> (Result<(), ReadModelError>, u64) {
    let (log, read_model) = (log_of(4).await, prefix.scripted(Scripted(script)).await);
    let claim = read_model.claim().await.expect("a claim");
    let page = next_page(&log, &read_model, &claim, 10).await;
    let applied = read_model.apply(&claim, &page).await;
    (applied, read_model.standing().await.expect("a standing").position.get())
}

#[tokio::test]
async fn every_command_does_what_redis_does_under_the_prefix() {
    let prefix = RedisPrefix::fresh().await;
    let (done, position) = applied(&prefix, |batch, position| {
        batch.set("text", position);
        batch.incrby("number", 2);
        batch.hset("hash", "a", position);
        batch.hset("hash", "b", position);
        batch.hdel("hash", "b");
        batch.hincrby("hash", "n", 3);
        batch.sadd("set", position);
        batch.srem("set", 1);
        batch.zadd("zset", 1.5, "fixed");
        batch.zincrby("zset", 0.5, "risen");
        batch.zadd("zset", 9.0, "gone");
        batch.zrem("zset", "gone");
        batch.rpush("list", position);
        batch.set("deleted", 1);
        batch.del("deleted");
        batch.expire("text", std::time::Duration::from_secs(1_000));
        batch.command("ZADD").key("raw").arg(&[("1", "x"), ("2", "y")][..]);
    })
    .await;
    done.expect("applied");
    assert_eq!(position, 4);
    let mut redis = prefix.connection().await;
    let text: u64 = redis.get(prefix.key("text")).await.expect("GET");
    let number: u64 = redis.get(prefix.key("number")).await.expect("GET");
    let left_ms: i64 = redis.pttl(prefix.key("text")).await.expect("PTTL");
    assert_eq!((text, number), (4, 8));
    assert!((1..=1_000_000).contains(&left_ms));
    let hash: BTreeMap<String, u64> = redis.hgetall(prefix.key("hash")).await.expect("HGETALL");
    assert_eq!(hash, BTreeMap::from([("a".into(), 4), ("n".into(), 12)]));
    let set: std::collections::BTreeSet<u64> =
        redis.smembers(prefix.key("set")).await.expect("SMEMBERS");
    assert_eq!(Vec::from_iter(set), [2, 3, 4]);
    let zset: Vec<(String, f64)> =
        redis.zrange_withscores(prefix.key("zset"), 0, -1).await.expect("ZRANGE");
    assert_eq!(zset, [("fixed".to_owned(), 1.5), ("risen".to_owned(), 2.0)]);
    let list: Vec<u64> = redis.lrange(prefix.key("list"), 0, -1).await.expect("LRANGE");
    assert_eq!(list, [1, 2, 3, 4]);
    let raw: u64 = redis.zcard(prefix.key("raw")).await.expect("ZCARD");
    assert_eq!(raw, 2);
    assert!(!prefix.keys().await.contains(&prefix.key("deleted")));
}

#[tokio::test]
async fn a_failing_only_command_stops_in_front_of_its_event_with_the_ones_before_it_kept() {
    let prefix = RedisPrefix::fresh().await;
    let (failed, position) = applied(&prefix, |batch, position| match position {
        3 => batch.rpush("tally", 1),
        _ => batch.hincrby("tally", "n", 1),
    })
    .await;
    let failed = failed.expect_err("a list is no hash");
    assert!(
        matches!(&failed, ReadModelError::Event { position, .. } if position.get() == 3),
        "{failed:?}"
    );
    assert!(!failed.is_retryable());
    assert_eq!(position, 2, "the checkpoint stands behind the last whole event");
    assert_eq!(prefix.shown().await.counts["n"], 2);
    let mended = prefix.scripted(Scripted(|batch, _| batch.hincrby("tally", "n", 1))).await;
    let claim = mended.claim().await.expect("nothing is torn");
    apply_all(&*log_of(4).await, &mended, claim).await;
    assert_eq!(prefix.shown().await.counts["n"], 4);
}

#[tokio::test]
async fn a_wrong_type_in_a_later_command_is_found_before_the_event_s_first() {
    let prefix = RedisPrefix::fresh().await;
    let (failed, position) = applied(&prefix, |batch, position| {
        batch.rpush("journal", position);
        match position {
            3 => batch.sadd("tally", 1),
            _ => batch.hincrby("tally", "n", 1),
        }
    })
    .await;
    let failed = std::error::Error::source(&failed.expect_err("a set is no hash"))
        .and_then(std::error::Error::source)
        .expect("a cause")
        .to_string();
    assert_eq!(failed, "WRONGTYPE command 2 (SADD) is for a set, its key holds a hash");
    assert_eq!((position, prefix.shown().await.journal), (2, vec![1, 2]));
}

#[tokio::test]
async fn a_key_that_is_replaced_within_the_event_may_change_its_type() {
    let prefix = RedisPrefix::fresh().await;
    let (done, position) = applied(&prefix, |batch, position| {
        batch.del("tally");
        batch.set("tally", "x");
        batch.del("tally");
        batch.hincrby("tally", "n", position.cast_signed());
    })
    .await;
    done.expect("applied");
    assert_eq!((position, prefix.shown().await.counts["n"]), (4, 4));
}

#[tokio::test]
async fn an_event_applied_in_part_is_marked_and_nothing_goes_on_until_it_is_built_anew() {
    let prefix = RedisPrefix::fresh().await;
    let (torn, position) = applied(&prefix, |batch, position| {
        batch.rpush("journal", position);
        if position == 3 {
            batch.command("HINCRBY").key("tally").arg("n").arg("no number");
        }
    })
    .await;
    let torn = torn.expect_err("the second command fails at run time");
    assert!(!torn.is_retryable());
    assert_eq!((position, prefix.shown().await.journal), (2, vec![1, 2, 3]));
    let tally = prefix.open().await;
    let refused = tally.claim().await.expect_err("nobody goes on from here");
    let told = std::error::Error::source(&refused).expect("a cause").to_string();
    assert!(told.contains("the event at 3") && told.contains("delete the key"), "{told}");

    let checkpoint = prefix.key("highwater:checkpoint");
    let _: () = prefix.connection().await.del(checkpoint).await.expect("DEL");
    let log = log_of(4).await;
    apply_all(&log, &*tally, tally.claim().await.expect("built anew")).await;
    assert_is_fold(&prefix, &log).await;
}

#[tokio::test]
async fn a_redis_that_lost_its_data_is_noticed_and_filled_again() {
    let (prefix, log) = (RedisPrefix::fresh().await, log_of(6).await);
    let read_model = prefix.open().await;
    let mut claim = read_model.claim().await.expect("a claim");
    let first_epoch = claim.epoch;
    let page = next_page(&log, &*read_model, &claim, 2).await;
    read_model.apply(&claim, &page).await.expect("applied");
    claim.position = page.read_to;
    let _: () = prefix.connection().await.del(prefix.keys().await).await.expect("DEL");

    let page = next_page(&log, &*read_model, &claim, 2).await;
    let lost = read_model.apply(&claim, &page).await.expect_err("the checkpoint is gone");
    assert!(matches!(lost, ReadModelError::Moved { found: GlobalPosition::START, .. }), "{lost:?}");
    assert!(lost.is_retryable());
    let claim = read_model.claim().await.expect("a claim");
    assert!(claim.epoch > first_epoch, "no epoch from before the loss may hold again");
    apply_all(&log, &*read_model, claim).await;
    assert_is_fold(&prefix, &log).await;
}

#[tokio::test]
async fn what_lies_beneath_a_prefix_without_checkpoint_is_deleted_and_nothing_else() {
    let (prefix, log) = (RedisPrefix::fresh().await, log_of(3).await);
    let mut redis = prefix.connection().await;
    for n in 0..2_500 {
        let _: () = redis.set(prefix.key(&format!("old{n}")), 1).await.expect("SET");
    }
    let _: () = redis.hset(prefix.key("tally"), "k1", 100).await.expect("HSET");
    let neighbour = format!("{}neighbour", prefix.prefix.trim_end_matches(':'));
    let _: () = redis.set(&neighbour, 1).await.expect("SET");
    let read_model = prefix.open().await;
    apply_all(&log, &*read_model, read_model.claim().await.expect("a claim")).await;
    assert_is_fold(&prefix, &log).await;
    assert_eq!(prefix.keys().await.len(), 3);
    assert!(redis.exists::<_, bool>(&neighbour).await.expect("EXISTS"));
    let _: () = redis.del(&neighbour).await.expect("DEL");
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_sent_again() {
    let (prefix, log) = (RedisPrefix::fresh().await, log_of(3).await);
    let read_model = prefix.open().await;
    let claim = read_model.claim().await.expect("a claim");
    let mut redis = prefix.connection().await;
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.expect("FLUSH");
    apply_all(&log, &*read_model, claim).await;
    assert_is_fold(&prefix, &log).await;
}

#[tokio::test]
async fn a_prefix_of_another_read_model_is_refused() {
    struct Other;
    impl Projection for Other {
        type Event = TallyEvent;
        const NAME: &'static str = "other";
    }
    #[async_trait]
    impl Project<RedisBatch> for Other {
        async fn project(
            &self,
            _: &TallyEvent,
            _: &RecordedEvent,
            _: &mut RedisBatch,
        ) -> Result<(), ProjectError> {
            Ok(())
        }
    }
    let prefix = RedisPrefix::fresh().await;
    prefix.open().await.claim().await.expect("the first owner");
    let other = RedisReadModel::new(Other, prefix.connection().await, &prefix.prefix);
    let refused = other.claim().await.expect_err("the prefix is taken");
    let told = std::error::Error::source(&refused).expect("a cause").to_string();
    assert!(told.contains("belongs to read model tally version 1"), "{told}");
    let everywhere = RedisReadModel::new(Other, prefix.connection().await, "");
    assert!(!everywhere.claim().await.expect_err("no prefix").is_retryable());
}

#[tokio::test]
async fn a_command_that_could_never_be_sent_is_refused_with_its_event() {
    let prefix = RedisPrefix::fresh().await;
    let (own, _) = applied(&prefix, |batch, _| batch.del("highwater:checkpoint")).await;
    assert!(matches!(own, Err(ReadModelError::Event { .. })), "{own:?}");
    let (long, _) = applied(&prefix, |batch, _| {
        batch.command("SADD").key("set").arg(vec![1; 4_001]);
    })
    .await;
    assert!(matches!(long, Err(ReadModelError::Event { .. })), "{long:?}");
    let (longest, position) = applied(&prefix, |batch, _| {
        batch.command("SADD").key("set").arg(vec![1; 3_900]);
    })
    .await;
    longest.expect("Lua's stack holds it");
    assert_eq!(position, 4);
}
