//! One container on a host port chosen beforehand: started, paused, killed and started again with its data.
//!
//! It knows nothing of the service inside; whether that answers is the concern of `readiness.rs`.

use std::collections::HashMap;

use testcontainers::bollard::models::PortBinding;
use testcontainers::bollard::query_parameters::KillContainerOptionsBuilder;
use testcontainers::core::IntoContainerPort;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use super::host_port::free_host_port;
use super::reaper::{PROCESS_LABEL, TEST_LABEL, watched_process_label};
use super::{ServiceError, given_by_environment};

/// Parallel queries of PostgreSQL outgrow Docker's 64 MiB of shared memory.
const SHARED_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// Another process may take a port between our look and the engine's bind.
const START_ATTEMPTS: usize = 5;

/// What to run, for one of the three services.
pub(super) struct Recipe {
    pub(super) service: &'static str,
    pub(super) url_variable: &'static str,
    pub(super) image_variable: &'static str,
    pub(super) default_image: &'static str,
    pub(super) container_port: u16,
    /// Environment of the container, given the host port that clients will dial.
    pub(super) environment: fn(u16) -> Vec<(&'static str, String)>,
    pub(super) command: &'static [&'static str],
    /// A folder in memory, and its mount options.
    pub(super) small_disk: Option<(&'static str, &'static str)>,
}

/// A container that is removed, data and all, when dropped or when the process ends.
pub(super) struct Container {
    inner: ContainerAsync<GenericImage>,
    service: &'static str,
    host_port: u16,
}

impl Container {
    /// Starts `recipe` on a free port of the loopback interface. The service inside may not answer yet.
    pub(super) async fn start(recipe: &Recipe) -> Result<Self, ServiceError> {
        let image = given_by_environment(recipe.image_variable)
            .unwrap_or_else(|| recipe.default_image.to_owned());
        let mut reason = String::new();
        for _ in 0..START_ATTEMPTS {
            let host_port = free_host_port();
            match request(recipe, &image, host_port).start().await {
                Ok(inner) => {
                    return Ok(Self { inner, service: recipe.service, host_port });
                }
                Err(error) => reason = error.to_string(),
            }
            if !reason.contains("port is already allocated") && !reason.contains("in use") {
                break;
            }
        }
        Err(ServiceError::Start {
            service: recipe.service,
            image,
            url_variable: recipe.url_variable,
            reason,
        })
    }

    /// The loopback port on which clients reach it, the same for the container's whole life.
    pub(super) fn host_port(&self) -> u16 {
        self.host_port
    }

    pub(super) async fn pause(&self) -> Result<(), ServiceError> {
        self.inner.pause().await.map_err(|error| self.failed("pause", error))
    }

    pub(super) async fn unpause(&self) -> Result<(), ServiceError> {
        self.inner.unpause().await.map_err(|error| self.failed("unpause", error))
    }

    /// SIGKILL to every process inside; returns when they are gone.
    pub(super) async fn kill(&self) -> Result<(), ServiceError> {
        let engine = docker_client_instance().await.map_err(|error| self.failed("kill", error))?;
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        engine
            .kill_container(self.inner.id(), Some(options))
            .await
            .map_err(|error| self.failed("kill", error))?;
        // The engine may answer before the container counts as stopped; `stop` waits for that.
        self.stop().await
    }

    /// SIGTERM, then SIGKILL after the engine's grace period; returns when it is down.
    pub(super) async fn stop(&self) -> Result<(), ServiceError> {
        self.inner.stop_with_timeout(None).await.map_err(|error| self.failed("stop", error))
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port, with its files.
    pub(super) async fn start_again(&self) -> Result<(), ServiceError> {
        self.inner.start().await.map_err(|error| self.failed("start", error))
    }

    fn failed(&self, action: &'static str, error: impl std::fmt::Display) -> ServiceError {
        ServiceError::Lifecycle { service: self.service, action, reason: error.to_string() }
    }
}

fn request(recipe: &Recipe, image: &str, host_port: u16) -> ContainerRequest<GenericImage> {
    // A registry's port has a colon too (`registry:5000/name`): only one behind the last slash starts a tag.
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    let container_port = recipe.container_port.tcp();
    // Bound to loopback: a test's server is nobody else's business.
    let binding = PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: Some(host_port.to_string()),
    };
    let bindings = HashMap::from([(container_port.to_string(), Some(vec![binding]))]);
    let disk =
        |(path, options): (&str, &str)| HashMap::from([(path.to_owned(), options.to_owned())]);
    let small_disk = recipe.small_disk.map(disk);
    (recipe.environment)(host_port)
        .into_iter()
        .fold(
            GenericImage::new(name, tag)
                .with_exposed_port(container_port)
                .with_cmd(recipe.command.iter().copied()),
            |request, (name, value)| request.with_env_var(name, value),
        )
        .with_mapped_port(host_port, container_port)
        .with_shm_size(SHARED_MEMORY_BYTES)
        .with_label(TEST_LABEL, recipe.service)
        .with_label(PROCESS_LABEL, watched_process_label())
        .with_host_config_modifier(move |config| {
            config.port_bindings = Some(bindings.clone());
            config.tmpfs = small_disk.clone();
        })
}
