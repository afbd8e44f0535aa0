//! Container images for the tests: the official ones where they can be had, else ones made here from Debian's packages
//! and Kafka's own jars. `tests/images` holds their definition.
//!
//! The three images share one file system and differ in their entry points. Their tag is a hash of the definition,
//! so a second run finds them and a changed definition makes new ones.

use std::path::Path;
use std::process::Command;

use crate::bare_debian;
use crate::step::{Failure, Outcome, output_of, run_quietly, succeeds};
use crate::workspace::{make_folder, source_root};

/// One of the three images.
pub(crate) struct Image {
    /// Environment variable that tells the test harness which image to start.
    pub(crate) variable: &'static str,
    official: &'static str,
    short_name: &'static str,
    default_command: &'static str,
}

/// The images of all services, with the official ones that the harness would pull by itself.
pub(crate) const IMAGES: [Image; 3] = [
    Image {
        variable: "HIGHWATER_TEST_POSTGRES_IMAGE",
        official: "postgres:17-alpine",
        short_name: "postgres",
        default_command: r#"["postgres"]"#,
    },
    Image {
        variable: "HIGHWATER_TEST_REDIS_IMAGE",
        official: "redis:7-alpine",
        short_name: "redis",
        default_command: r#"["redis-server"]"#,
    },
    Image {
        variable: "HIGHWATER_TEST_KAFKA_IMAGE",
        official: "apache/kafka-native:4.1.1",
        short_name: "kafka",
        default_command: "[]",
    },
];

/// The files that define the self-made images.
const DEFINITION: [&str; 5] = ["packages.txt", "pom.xml", "postgres.sh", "redis.sh", "kafka.sh"];

/// The container's path, without which its entry points find no program.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes an image of every service available to the running engine. Returns what the harness must be told: nothing
/// for an image that the environment already names or an official one.
pub(crate) fn provide(state_folder: &Path) -> Outcome<Vec<(String, String)>> {
    let wanted: Vec<&Image> =
        IMAGES.iter().filter(|image| std::env::var_os(image.variable).is_none()).collect();
    let tag = definition_hash()?;
    let self_made_exist = wanted.iter().all(|image| exists(&image.self_made(&tag)));
    if !self_made_exist {
        if wanted.iter().all(|image| official_can_be_had(image)) {
            return Ok(Vec::new());
        }
        make(&wanted, &tag, state_folder)?;
    }
    let told = wanted.iter().map(|image| (image.variable.to_owned(), image.self_made(&tag)));
    Ok(told.collect())
}

impl Image {
    fn self_made(&self, tag: &str) -> String {
        format!("highwater-test/{}:{tag}", self.short_name)
    }
}

fn exists(image: &str) -> bool {
    succeeds(Command::new("docker").args(["image", "inspect", image]))
}

fn official_can_be_had(image: &Image) -> bool {
    exists(image.official)
        || succeeds(Command::new("docker").args(["pull", "--quiet", image.official]))
}

/// FNV-1a over the definition and the Debian release: stable across builds of this program, unlike std's hasher.
fn definition_hash() -> Outcome<String> {
    let folder = source_root().join("tests/images");
    let mut bytes = bare_debian::release().unwrap_or_default().into_bytes();
    for name in DEFINITION {
        let path = folder.join(name);
        let content = std::fs::read(&path)
            .map_err(|error| Failure::new(format!("could not read {}: {error}", path.display())))?;
        bytes.extend(content);
    }
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}

fn make(wanted: &[&Image], tag: &str, state_folder: &Path) -> Outcome {
    if !bare_debian::is_this_machine() {
        return Err(Failure::new(
            "the engine can pull no image (postgres:17-alpine, redis:7-alpine, apache/kafka-native:4.1.1), and making \
             them from packages takes a Debian machine and root; pull them, or name others by \
             HIGHWATER_TEST_POSTGRES_IMAGE, HIGHWATER_TEST_REDIS_IMAGE and HIGHWATER_TEST_KAFKA_IMAGE, and run \
             cargo xtask test again",
        ));
    }
    println!("   no image can be pulled: making them from packages (once, about a minute)");
    bare_debian::install_image_tools()?;
    let workshop = state_folder.join("image");
    make_folder(&workshop)?;
    let made = fetch_kafka(&workshop)
        .and_then(|()| file_system(&workshop))
        .and_then(|()| wanted.iter().try_for_each(|image| import(image, tag, &workshop)));
    // Half a gigabyte that the engine now holds itself.
    drop(std::fs::remove_dir_all(&workshop));
    made
}

fn fetch_kafka(workshop: &Path) -> Outcome {
    let libs = workshop.join("libs");
    run_quietly(
        Command::new("mvn")
            .args(["--quiet", "--batch-mode", "dependency:copy-dependencies"])
            .arg("-DincludeScope=runtime")
            .arg(format!("-DoutputDirectory={}", libs.display()))
            .arg("--file")
            .arg(source_root().join("tests/images/pom.xml")),
    )
}

/// A Debian of this machine's release with the services' packages, Kafka's jars and the entry points.
fn file_system(workshop: &Path) -> Outcome {
    let definition = source_root().join("tests/images");
    let packages = std::fs::read_to_string(definition.join("packages.txt"))
        .map_err(|error| Failure::new(format!("could not read packages.txt: {error}")))?;
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=apt"])
        .arg(format!("--include={}", packages.split_whitespace().collect::<Vec<_>>().join(",")));
    for unread in ["doc", "man", "locale"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unread}/*"));
    }
    // The entry point makes the cluster, in the container; the package must not make one in the image.
    command
        .arg(
            "--essential-hook=mkdir -p \"$1/etc/postgresql-common\" && \
             echo 'create_main_cluster = false' >\"$1/etc/postgresql-common/createcluster.conf\"",
        )
        .arg("--customize-hook=mkdir -p \"$1/opt/kafka\" \"$1/opt/entry\"")
        .arg("--customize-hook=copy-in libs /opt/kafka")
        .arg(format!(
            "--customize-hook=copy-in {0}/postgres.sh {0}/redis.sh {0}/kafka.sh /opt/entry",
            definition.display()
        ))
        .args([bare_debian::release()?.as_str(), "root.tar"]);
    if let Some(sources) = package_sources() {
        command.arg(sources);
    }
    run_quietly(command.current_dir(workshop))
}

/// The machine's own sources of Debian packages, which it reaches; other vendors' sources stay out.
fn package_sources() -> Option<&'static str> {
    ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
}

fn import(image: &Image, tag: &str, workshop: &Path) -> Outcome {
    let entry_point = format!(r#"ENTRYPOINT ["/opt/entry/{}.sh"]"#, image.short_name);
    let default_command = format!("CMD {}", image.default_command);
    output_of(
        Command::new("docker")
            .args(["import", "--change", &entry_point, "--change", &default_command])
            .args(["--change", &format!("ENV {PATH}"), "root.tar", &image.self_made(tag)])
            .current_dir(workshop),
    )
    .map(drop)
}
