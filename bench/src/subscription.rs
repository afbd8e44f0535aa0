//! The event that boundaries of tags are measured with: a student subscribes to a course.

use std::hint::black_box;

use highwater::{
    DecisionModel, Event, EventQuery, InvalidTag, NewEvent, RecordedEvent, StreamId, Tag,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The event's type.
pub const TYPE: &str = "student.subscribed";
/// Courses that the log knows from long ago.
const OLD_COURSES: u64 = 1_000;

/// A subscription: three tags, the first of which conditions ask about.
pub struct Subscribed {
    course: String,
    student: String,
    number: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Data<'a> {
    course: &'a str,
    student: &'a str,
    note: &'a str,
}

/// Fills the data up to about 300 bytes.
const NOTE: &str = "The student has read the terms, has paid the fee for the term, prefers the \
    course to be held in the morning, and would like to be told by letter should it be moved.";

impl Subscribed {
    /// A new student subscribes to `course`.
    pub fn to(course: &str) -> Self {
        let number = Uuid::now_v7();
        Self { course: course.to_owned(), student: number.simple().to_string(), number }
    }

    /// A subscription that fills the log.
    pub fn of_long_ago(number: u64) -> Self {
        Self::to(&format!("old-{}", number % OLD_COURSES))
    }

    /// Its own stream, which is new.
    pub fn stream(&self) -> StreamId {
        StreamId::new("subscription", self.number).expect("a UUID is a key")
    }

    /// Course, student, and the subscription itself.
    pub fn tags(&self) -> [Tag; 3] {
        [
            course_tag(&self.course),
            tag("student", &self.student),
            tag("subscription", &self.number.simple().to_string()),
        ]
    }

    /// The data as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.data()).expect("this is JSON")
    }

    /// As the store takes it.
    pub fn event(&self) -> NewEvent {
        let event = NewEvent::new(TYPE, &self.data()).expect("this is JSON");
        self.tags().into_iter().fold(event, NewEvent::with_tag)
    }

    fn data(&self) -> Data<'_> {
        Data { course: &self.course, student: &self.student, note: NOTE }
    }
}

/// What conditions ask about.
pub fn course_tag(course: &str) -> Tag {
    tag("course", course)
}

fn tag(name: &str, value: &str) -> Tag {
    Tag::new(name, value).expect("letters and digits are a tag")
}

/// What a decision does with an event that it has read.
pub fn fold(json: &[u8]) {
    let data: Data<'_> = serde_json::from_slice(json).expect("a subscription");
    black_box(data.student);
}

/// What a decision reads of a subscription.
#[derive(Event)]
pub enum CourseEvent {
    #[event(name = "student.subscribed")]
    Subscribed { student: String },
}

/// A course as decisions know it.
pub struct Course {
    course: String,
}

impl Course {
    /// A course of which nothing is known yet.
    pub fn blank(course: &str) -> Self {
        Self { course: course.to_owned() }
    }
}

impl DecisionModel for Course {
    type Event = CourseEvent;

    fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
        EventQuery::all().tagged("course", &self.course)
    }

    fn evolve(&mut self, event: &CourseEvent, _: &RecordedEvent) {
        let CourseEvent::Subscribed { student } = event;
        black_box(student);
    }
}
