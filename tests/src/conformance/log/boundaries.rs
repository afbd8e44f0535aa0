//! Chapter: rules that no single stream holds are kept, by one decision or by many at once.
//!
//! Each section is one rule of the kind that an aggregate can't hold, as a small domain, told once
//! by itself and once as a race through several handles. [`random_decisions`] is the oracle: every
//! append of many writers says what it relied on, and the log must bear it out.

pub mod course_subscriptions;
pub mod dynamic_prices;
pub mod idempotency_tokens;
pub mod invoice_numbers;
pub mod opt_in_tokens;
pub mod random_decisions;
pub mod unique_usernames;

mod crowd;

pub use course_subscriptions::*;
pub use dynamic_prices::*;
pub use idempotency_tokens::*;
pub use invoice_numbers::*;
pub use opt_in_tokens::*;
pub use random_decisions::*;
pub use unique_usernames::*;

#[cfg(test)]
mod tests {
    use crate::unconditional_store::UnconditionalLog;

    /// How often a store may be lucky. Once is nearly always enough.
    const ROUNDS: usize = 10;

    /// Makes each race a test that it isn't passed by a store that drops the conditions.
    macro_rules! catch_a_store_without_conditions {
        ($($race:ident,)*) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $race() {
                for _ in 0..ROUNDS {
                    let race = tokio::spawn(async {
                        super::$race(&UnconditionalLog::default()).await;
                    });
                    if race.await.is_err_and(|error| error.is_panic()) {
                        return;
                    }
                }
                panic!("the store passes: this race doesn't check what it should");
            })*
        };
    }

    catch_a_store_without_conditions! {
        of_a_crowd_nobody_passes_a_limit_and_every_refusal_is_true,
        of_a_crowd_that_wants_one_course_exactly_as_many_as_seats_are_subscribed,
        a_student_who_subscribes_everywhere_at_once_takes_exactly_the_allowed_number,
        of_a_crowd_one_gets_the_name_and_one_again_when_it_is_released,
        of_a_crowd_everybody_gets_an_invoice_number_and_no_number_is_left_out,
        of_a_crowd_with_one_token_one_confirms,
        of_a_crowd_nobody_orders_at_the_old_price_behind_a_change_without_grace,
        of_a_crowd_with_few_tokens_one_order_is_placed_for_each,
    }
}
