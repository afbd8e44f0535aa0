//! A course has a number of seats, a student takes a number of courses: two rules, two things, one
//! decision.

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, DecisionModel, Event, EventQuery, InvalidTag,
    RecordedEvent, Selection, emit, ensure, event_query,
};

use super::super::LogFactory;
use super::super::given::{self, everything};
use super::crowd::crowd;

/// How many courses a student may take.
const MOST_COURSES: usize = 3;

#[derive(Event, Clone, Debug)]
enum CourseEvent {
    #[event(name = "course.defined")]
    Defined {
        #[event(tag)]
        course: String,
        seats: usize,
    },
    #[event(name = "course.seats_changed")]
    SeatsChanged {
        #[event(tag)]
        course: String,
        seats: usize,
    },
    #[event(name = "course.subscribed")]
    Subscribed {
        #[event(tag)]
        course: String,
        #[event(tag)]
        student: String,
    },
}

/// A course as whoever wants to join it must know it.
#[derive(Clone)]
struct Course {
    name: String,
    seats: Option<usize>,
    taken: usize,
}

impl Course {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), seats: None, taken: 0 }
    }
}

impl DecisionModel for Course {
    type Event = CourseEvent;

    fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
        EventQuery::all().tagged("course", &self.name)
    }

    fn evolve(&mut self, event: &CourseEvent, _: &RecordedEvent) {
        match event {
            CourseEvent::Defined { seats, .. } | CourseEvent::SeatsChanged { seats, .. } => {
                self.seats = Some(*seats);
            }
            CourseEvent::Subscribed { .. } => self.taken += 1,
        }
    }
}

/// Which courses a student takes.
#[derive(Clone)]
struct Student {
    name: String,
    courses: Vec<String>,
}

impl Student {
    fn of(name: &str) -> Self {
        Self { name: name.to_owned(), courses: Vec::new() }
    }
}

impl DecisionModel for Student {
    type Event = CourseEvent;

    fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
        event_query!(CourseEvent: "course.subscribed").tagged("student", &self.name)
    }

    fn evolve(&mut self, event: &CourseEvent, _: &RecordedEvent) {
        if let CourseEvent::Subscribed { course, .. } = event {
            self.courses.push(course.clone());
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum NotSubscribed {
    #[error("there is no such course")]
    NoCourse,
    #[error("the course is full")]
    Full,
    #[error("the student is in it already")]
    Twice,
    #[error("the student takes enough courses")]
    TooMany,
}

fn subscription((course, student): &(Course, Student)) -> Result<Vec<CourseEvent>, NotSubscribed> {
    let seats = course.seats.ok_or(NotSubscribed::NoCourse)?;
    ensure!(!student.courses.contains(&course.name), NotSubscribed::Twice);
    ensure!(course.taken < seats, NotSubscribed::Full);
    ensure!(student.courses.len() < MOST_COURSES, NotSubscribed::TooMany);
    emit(CourseEvent::Subscribed { course: course.name.clone(), student: student.name.clone() })
}

type Answer = Result<BoundaryReceipt, BoundaryError<NotSubscribed>>;

async fn subscribe(boundaries: &Boundaries, course: &str, student: &str) -> Answer {
    boundaries.decide((Course::of(course), Student::of(student)), subscription).await
}

async fn define(boundaries: &Boundaries, course: &str, seats: usize) {
    let defined = CourseEvent::Defined { course: course.to_owned(), seats };
    boundaries.load(Course::of(course)).await.unwrap().append([defined]).await.unwrap();
}

fn no(answer: Answer) -> NotSubscribed {
    answer.unwrap_err().rejection().unwrap().clone()
}

/// Either rule alone says no, and a change of the one thing doesn't disturb the other's rule.
pub async fn a_course_takes_no_more_students_than_seats_and_a_student_no_more_courses_than_allowed(
    log: &dyn LogFactory,
) {
    let boundaries = Boundaries::new(log.open().await);
    assert_eq!(no(subscribe(&boundaries, "a", "ada").await), NotSubscribed::NoCourse);
    for (course, seats) in [("a", 1), ("b", 9), ("c", 9), ("d", 9)] {
        define(&boundaries, course, seats).await;
    }
    subscribe(&boundaries, "a", "ada").await.unwrap();
    assert_eq!(no(subscribe(&boundaries, "a", "ada").await), NotSubscribed::Twice);
    assert_eq!(no(subscribe(&boundaries, "a", "bob").await), NotSubscribed::Full);
    let more = CourseEvent::SeatsChanged { course: "a".to_owned(), seats: 2 };
    boundaries.load(Course::of("a")).await.unwrap().append([more]).await.unwrap();
    subscribe(&boundaries, "a", "bob").await.unwrap();
    for course in ["b", "c"] {
        subscribe(&boundaries, course, "ada").await.unwrap();
    }
    assert_eq!(no(subscribe(&boundaries, "d", "ada").await), NotSubscribed::TooMany);
    subscribe(&boundaries, "d", "bob").await.unwrap();
}

/// Twelve students want each of four courses at once: neither limit is passed, and every "no" is
/// true: nobody is told that a course is full which isn't, or has enough who hasn't.
pub async fn of_a_crowd_nobody_passes_a_limit_and_every_refusal_is_true(log: &dyn LogFactory) {
    const COURSES: [(&str, usize); 4] = [("a", 2), ("b", 5), ("c", 7), ("d", 30)];
    let store = log.open().await;
    let boundaries = Boundaries::new(store.clone());
    for (course, seats) in COURSES {
        define(&boundaries, course, seats).await;
    }
    let student = |index: usize| format!("student {}", index / 4);
    let crowd = crowd(log, 48, move |boundaries, index| async move {
        subscribe(&boundaries, COURSES[index % 4].0, &student(index)).await
    })
    .await;
    let log = everything(&*store, &Selection::All).await;
    assert_eq!(crowd.receipts().len() + COURSES.len(), log.len());
    let count = |tag: &str| {
        let subscribed =
            log.iter().filter(|event| event.event_type.as_str() == "course.subscribed");
        subscribed.filter(|event| event.tags.contains(&given::tag(tag))).count()
    };
    for (index, answer) in crowd.answers.iter().enumerate() {
        let (course, seats) = COURSES[index % 4];
        let taken = count(&format!("course:{course}"));
        let courses = count(&format!("student:{}", student(index)));
        assert!(taken <= seats && courses <= MOST_COURSES, "{taken} in {course}, {courses} taken");
        match answer {
            Ok(_) => {}
            Err(NotSubscribed::Full) => assert_eq!(taken, seats),
            Err(NotSubscribed::TooMany) => assert_eq!(courses, MOST_COURSES),
            Err(other) => panic!("nobody is to blame for {other}"),
        }
    }
}

/// Twenty want one of five seats, and nothing else is in their way: exactly five get one.
pub async fn of_a_crowd_that_wants_one_course_exactly_as_many_as_seats_are_subscribed(
    log: &dyn LogFactory,
) {
    define(&Boundaries::new(log.open().await), "a", 5).await;
    let crowd = crowd(log, 20, |boundaries, index| async move {
        subscribe(&boundaries, "a", &format!("student {index}")).await
    })
    .await;
    assert_eq!(crowd.receipts().len(), 5);
    assert_eq!(crowd.rejections(), vec![NotSubscribed::Full; 15]);
}

/// One student wants all of ten courses at once: exactly three are taken.
pub async fn a_student_who_subscribes_everywhere_at_once_takes_exactly_the_allowed_number(
    log: &dyn LogFactory,
) {
    let boundaries = Boundaries::new(log.open().await);
    for course in 0..10 {
        define(&boundaries, &course.to_string(), 9).await;
    }
    let crowd = crowd(log, 10, |boundaries, index| async move {
        subscribe(&boundaries, &index.to_string(), "ada").await
    })
    .await;
    assert_eq!(crowd.receipts().len(), MOST_COURSES);
    assert_eq!(crowd.rejections(), vec![NotSubscribed::TooMany; 10 - MOST_COURSES]);
}
