//! The courses and students of the chapter on boundaries.

use highwater::{DecisionModel, Event, EventQuery, InvalidTag, RecordedEvent, event_query};

/// What happens to courses.
#[derive(Event, Clone, Debug)]
pub enum CourseEvent {
    /// One may join it.
    #[event(name = "course.opened")]
    Opened {
        /// Which course.
        #[event(tag)]
        course: String,
        /// How many may join.
        seats: usize,
    },
    /// Somebody takes part.
    #[event(name = "course.joined")]
    Joined {
        /// In which course.
        #[event(tag)]
        course: String,
        /// Who.
        #[event(tag)]
        student: String,
    },
}

/// How many seats of one course are free.
#[derive(Clone)]
pub struct FreeSeats {
    /// Which course.
    pub course: String,
    /// How many.
    pub free: usize,
}

impl FreeSeats {
    /// Of a course that nothing is known of.
    #[must_use]
    pub fn of(course: &str) -> Self {
        Self { course: course.to_owned(), free: 0 }
    }
}

impl DecisionModel for FreeSeats {
    type Event = CourseEvent;

    fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
        EventQuery::all().tagged("course", &self.course)
    }

    fn evolve(&mut self, event: &CourseEvent, _: &RecordedEvent) {
        match event {
            CourseEvent::Opened { seats, .. } => self.free += seats,
            CourseEvent::Joined { .. } => self.free = self.free.saturating_sub(1),
        }
    }
}

/// How many courses one student takes.
#[derive(Clone)]
pub struct Workload {
    /// Which student.
    pub student: String,
    /// How many.
    pub courses: usize,
}

impl Workload {
    /// Of a student that nothing is known of.
    #[must_use]
    pub fn of(student: &str) -> Self {
        Self { student: student.to_owned(), courses: 0 }
    }
}

impl DecisionModel for Workload {
    type Event = CourseEvent;

    fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
        event_query!(CourseEvent: "course.joined").tagged("student", &self.student)
    }

    fn evolve(&mut self, _: &CourseEvent, _: &RecordedEvent) {
        self.courses += 1;
    }
}
