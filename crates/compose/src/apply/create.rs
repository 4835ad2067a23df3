//! Containers are made, or made anew in the place of others.

use hako_api::query;
use hako_model::container::MountPoint;

use super::{Member, Work, gone, stop_options, stored};
use crate::canonical::shares;
use crate::creation::{Instance, body};
use crate::plan::{Existing, first_container, interim_name};
use crate::project::Project;
use crate::world::{Mood, Outcome, Trouble};

impl Work<'_> {
    pub(super) async fn create(&self, service: &str, number: usize, name: &str) -> Outcome<Member> {
        let subject = format!("Container {name}");
        let instance = self.instance(service, number, name);
        let made = self.container(self.project, service, &instance, name);
        let id = self.world.act(&subject, ["Creating", "Created"], made).await?;
        Ok(Member { service: service.to_owned(), id, name: name.to_owned(), running: false })
    }

    /// The new one is made under a name of its own, then the old one goes and gives it its name.
    pub(super) async fn recreate(&self, service: &str, old: &Existing, name: &str) -> Outcome<Member> {
        let subject = format!("Container {}", old.name);
        let remade = async {
            let id = self.successor(service, old, name).await?;
            self.before_stop(service, old).await?;
            let containers = self.world.client.containers();
            gone(containers.stop(&old.id, &stop_options(self.manner.timeout)).await)?;
            gone(containers.remove(&old.id, &query::RemoveContainer { force: true, ..Default::default() }).await)?;
            containers.rename(&id, name).await?;
            Ok(id)
        };
        let id = self.world.act(&subject, ["Recreate", "Recreated"], remade).await?;
        Ok(Member { service: service.to_owned(), id, name: name.to_owned(), running: false })
    }

    /// Makes what will take the place of another, under a name of its own.
    pub(super) async fn successor(&self, service: &str, old: &Existing, name: &str) -> Outcome<String> {
        let mut instance = self.instance(service, old.number, name);
        instance.replaces = Some(old.id.clone());
        if !self.manner.renew_volumes {
            instance.inherited = self.mounts_of(&old.id);
        }
        self.container(self.project, service, &instance, &interim_name(old, name)).await
    }

    fn mounts_of(&self, id: &str) -> Vec<MountPoint> {
        self.found.containers.iter().find(|one| one.id == id).map(|one| one.mounts.clone()).unwrap_or_default()
    }

    fn instance(&self, service: &str, number: usize, name: &str) -> Instance {
        let image = self.project.service(service).map(|node| self.project.image(service, node)).unwrap_or_default();
        Instance {
            number: Some(number),
            image: self.images.get(&image).cloned().unwrap_or_default(),
            aliased: true,
            name: name.to_owned(),
            ..Instance::default()
        }
    }

    /// Makes a container of a service as a project describes it.
    pub(super) async fn container(
        &self,
        project: &Project,
        service: &str,
        instance: &Instance,
        name: &str,
    ) -> Outcome<String> {
        let mut instance = instance.clone();
        for other in project.service(service).map(shares).unwrap_or_default() {
            instance.shared.insert(other.clone(), self.first_of(&other)?);
        }
        let body = body(project, service, &instance).map_err(Trouble::Impossible)?;
        let platform = project.service(service).map(|node| node.text("platform").to_owned()).unwrap_or_default();
        let options = query::CreateContainer { name: name.to_owned(), platform };
        let created = self
            .world
            .client
            .containers()
            .create(&options, &body)
            .await
            .map_err(|source| Trouble::Daemon { context: Some(format!("service {service}")), source })?;
        for warning in &created.warnings {
            self.world.report.tell(service, warning, Mood::Warning);
        }
        stored::inject(self.world.client, project, service, &created.id).await?;
        Ok(created.id)
    }

    /// The first container of another service.
    fn first_of(&self, service: &str) -> Outcome<String> {
        let members = self.members.borrow();
        let first = members.iter().filter(|member| member.service == service).min_by_key(|member| &member.name);
        let missing = || Trouble::Impossible(format!("cannot share with service {service}: container missing"));
        // A service that is not part of this plan keeps what it has.
        let first = match first {
            Some(member) => Some(member.id.clone()),
            None => first_container(self.found, service),
        };
        first.ok_or_else(missing)
    }
}
