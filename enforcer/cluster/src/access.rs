//! What the cluster's own authorisation says of a user. Nothing is stored, but to ask is to create a
//! SubjectAccessReview.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use lictor_wire::UserInfo;
use tokio::time::timeout;

use crate::{ANSWER_WITHIN, Cluster, ClusterError};

/// A verb on a resource of a namespace, as a Role grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The API group of the resource.
    pub group: &'a str,
    /// The plural name of the resource.
    pub resource: &'a str,
    /// The verb.
    pub verb: &'a str,
}

impl Cluster {
    /// Whether a user has a permission.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn has_permission(
        &self,
        user: &UserInfo,
        permission: &Permission<'_>,
    ) -> Result<bool, ClusterError> {
        let owned = |text: &str| Some(text.to_owned());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: owned(&user.username),
                groups: Some(user.groups.clone()),
                uid: owned(&user.uid),
                extra: Some(user.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    namespace: owned(permission.namespace),
                    group: owned(permission.group),
                    version: owned("*"),
                    resource: owned(permission.resource),
                    verb: owned(permission.verb),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let object = || format!("the access review of {}", user.username);
        let api = Api::<SubjectAccessReview>::all(self.client.clone());
        let answered = timeout(ANSWER_WITHIN, api.create(&PostParams::default(), &review)).await;
        let review = answered
            .map_err(|_| ClusterError::no_answer("create", object()))?
            .map_err(|error| ClusterError::new("create", object(), &error))?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}
