//! What may enter from outside, and what is said to the rest.

#![allow(clippy::unwrap_used)]

use super::*;

fn refusal<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    serde_json::from_str::<T>(json).unwrap_err().to_string()
}

#[test]
fn a_quantity_is_at_least_one() {
    assert_eq!(serde_json::from_str::<Quantity>("3").unwrap().get(), 3);
    for json in ["0", "-1", "1000001", "9223372036854775807"] {
        let said = refusal::<Quantity>(json);
        let expected =
            format!("a quantity is a whole number from 1 to 1000000, but this one is {json}");
        assert_eq!(said, expected);
    }
    assert!(refusal::<Quantity>("1.5").contains("floating point `1.5`"));
    assert!(refusal::<Quantity>("\"3\"").contains("string \"3\""));
}

#[test]
fn an_amount_is_never_below_zero() {
    assert_eq!(serde_json::from_str::<Cents>("0").unwrap(), Cents::ZERO);
    let said = refusal::<Cents>("-5");
    assert_eq!(said, "an amount in cents is 0 or more, but this one is -5");
}

#[test]
fn amounts_that_cannot_be_counted_are_none() {
    let most = Cents::new(i64::MAX).unwrap();
    assert_eq!(most.checked_add(Cents::new(1).unwrap()), None);
    assert_eq!(most.checked_mul(Quantity::new(2).unwrap()), None);
    assert_eq!(most.checked_mul(Quantity::new(1).unwrap()), Some(most));
}

#[test]
fn an_amount_is_shown_as_people_write_it() {
    assert_eq!(Cents::new(1_205).unwrap().to_string(), "12.05");
    assert_eq!(Cents::new(7).unwrap().to_string(), "0.07");
}

#[test]
fn a_product_id_is_a_short_name() {
    for good in ["teapot", "blue-teapot-2", "2", &"x".repeat(64)] {
        assert_eq!(ProductId::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "-", "Teapot", "tea pot", "a--b", "-a", "a-", "tea\0pot", "théière"] {
        assert!(ProductId::new(bad).is_err(), "{bad:?}");
    }
    let said = ProductId::new("x".repeat(10_000)).unwrap_err().to_string();
    assert!(said.len() < 300, "{said}");
}

#[test]
fn an_order_id_is_a_ulid() {
    let id = OrderId::new();
    assert_eq!(id.to_string().parse(), Ok(id));
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(json, format!("\"{id}\""));
    assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
    for bad in ["", "1", "01J9ZCWM3T5V8E0Q2R4S6XAYB!", "01J9ZCWM3T5V8E0Q2R4S6XAYBDD"] {
        assert_eq!(bad.parse::<OrderId>(), Err(InvalidOrderId), "{bad:?}");
    }
}

#[test]
fn a_tracking_code_is_plain_text() {
    assert!(TrackingCode::new("HW-1Z999").is_ok());
    for bad in ["", "a b", "a\nb", &"x".repeat(65)] {
        assert!(TrackingCode::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_address_is_written_on_a_parcel_and_nowhere_else() {
    let good = r#"{"name":"Ada Lovelace","street":"1 Harbour Street","town":"8000 Århus 🏠"}"#;
    let address = serde_json::from_str::<DeliveryAddress>(good).unwrap();
    assert_eq!(address.name.as_str(), "Ada Lovelace");
    assert!(!format!("{address:?}").contains("Ada"), "{address:?}");
    let long = format!("secret{}", "x".repeat(200));
    for bad in ["", "secret\0", "secret\n", &long] {
        let json = serde_json::to_string(bad).unwrap();
        let said = refusal::<AddressLine>(&json);
        assert!(said.contains("1 to 200") && !said.contains("secret"), "{said}");
    }
    let said = refusal::<DeliveryAddress>(&good.replace("town", "city"));
    assert!(said.contains("`city`") && !said.contains("Harbour"), "{said}");
}

#[test]
fn a_customer_id_is_a_ulid_so_it_is_no_e_mail_address() {
    assert!("01J9ZCWM3T5V8E0Q2R4S6XCVST".parse::<CustomerId>().is_ok());
    assert_eq!("ada@example.org".parse::<CustomerId>(), Err(InvalidCustomerId));
}
