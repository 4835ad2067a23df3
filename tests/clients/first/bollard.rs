//! bollard: what its users do first.
use std::collections::HashMap;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions, StatsOptionsBuilder, StopContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt, TryStreamExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let docker = Docker::connect_with_defaults()?.negotiate_version().await?;
    assert_eq!(docker.ping().await?, "OK");
    let options = CreateContainerOptionsBuilder::default().name("box").build();
    let body = ContainerCreateBody {
        image: Some("busybox".into()),
        cmd: Some(vec!["sh".into(), "-c".into(), "echo up; sleep 600".into()]),
        labels: Some(HashMap::from([("a".into(), "b".into())])),
        exposed_ports: Some(HashMap::from([("80/tcp".into(), HashMap::new())])),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(
                "80/tcp".into(),
                Some(vec![PortBinding { host_ip: None, host_port: Some("8080".into()) }]),
            )])),
            ..Default::default()
        }),
        ..Default::default()
    };
    let id = docker.create_container(Some(options), body).await?.id;
    docker.start_container("box", None::<StartContainerOptions>).await?;
    let found = docker.inspect_container("box", None::<bollard::query_parameters::InspectContainerOptions>).await?;
    assert_eq!(found.id.as_deref(), Some(id.as_str()));
    assert_eq!(found.state.and_then(|state| state.running), Some(true));
    let filters = HashMap::from([("label", vec!["a=b"])]);
    let listed = docker.list_containers(Some(ListContainersOptionsBuilder::default().filters(&filters).build())).await?;
    assert_eq!(listed.len(), 1);

    let command = CreateExecOptions { cmd: Some(vec!["echo", "in"]), attach_stdout: Some(true), ..Default::default() };
    let exec = docker.create_exec("box", command).await?.id;
    let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec, None).await? else { panic!("attached") };
    let mut said = String::new();
    while let Some(piece) = output.next().await {
        said.push_str(&piece?.to_string());
    }
    assert_eq!(said, "in\n");
    assert_eq!(docker.inspect_exec(&exec).await?.exit_code, Some(0));

    let logs = docker.logs("box", Some(LogsOptionsBuilder::default().stdout(true).build()));
    assert_eq!(logs.try_collect::<Vec<_>>().await?.first().map(ToString::to_string).as_deref(), Some("up\n"));
    let sample = docker.stats("box", Some(StatsOptionsBuilder::default().stream(false).build())).next().await;
    assert!(sample.is_some_and(|sample| sample.is_ok()));
    let mut waiting = docker.wait_container("box", None::<WaitContainerOptions>);
    docker.stop_container("box", Some(StopContainerOptionsBuilder::default().t(0).build())).await?;
    // bollard makes an error of a code that is not 0.
    assert!(matches!(
        waiting.next().await,
        Some(Err(bollard::errors::Error::DockerContainerWaitError { code: 137, .. }))
    ));
    docker.remove_container("box", Some(RemoveContainerOptionsBuilder::default().force(true).build())).await?;
    assert!(docker.inspect_container("box", None::<bollard::query_parameters::InspectContainerOptions>).await.is_err());
    println!("done");
    Ok(())
}
